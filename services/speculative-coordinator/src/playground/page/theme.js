/** Light, dark, or as the system has it; remembered for this browser. */
const CHOICES = ['system', 'light', 'dark'];

export function installTheme(button) {
  let choice = localStorage.getItem('forerunner-theme') ?? 'system';
  const show = () => {
    if (choice === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = choice;
    button.textContent = `Theme: ${choice}`;
  };
  button.addEventListener('click', () => {
    choice = CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length];
    localStorage.setItem('forerunner-theme', choice);
    show();
  });
  show();
}
