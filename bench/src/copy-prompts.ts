/** Prompts whose answers largely repeat them: code to edit, lists to repeat, passages to quote. None is a template. */

const JAVASCRIPT = `function totalPrice(items, discount) {
  let total = 0;
  for (const item of items) {
    if (item.quantity <= 0) {
      continue;
    }
    total += item.price * item.quantity;
  }
  if (discount > 0) {
    total = total - total * discount;
  }
  return Math.round(total * 100) / 100;
}`;

const PYTHON = `class Account:
    def __init__(self, owner, balance=0):
        self.owner = owner
        self.balance = balance

    def deposit(self, amount):
        if amount <= 0:
            raise ValueError("amount must be positive")
        self.balance += amount
        return self.balance

    def withdraw(self, amount):
        if amount > self.balance:
            raise ValueError("not enough money")
        self.balance -= amount
        return self.balance`;

const JSON_TEXT = `{
  "name": "river-gauge",
  "version": "2.4.1",
  "description": "Reads water levels and sends warnings",
  "main": "gauge.js",
  "scripts": { "start": "node gauge.js", "test": "node --test" },
  "dependencies": { "serial-reader": "3.1.0", "mail-sender": "1.8.2" },
  "author": "Harbour Office"
}`;

const SQL = `SELECT customers.name, orders.placed_at, SUM(lines.quantity * lines.unit_price) AS total
FROM customers
JOIN orders ON orders.customer_id = customers.id
JOIN lines ON lines.order_id = orders.id
WHERE orders.placed_at >= '2024-01-01'
GROUP BY customers.name, orders.placed_at
ORDER BY total DESC;`;

const SHOPPING = `1. two loaves of rye bread
2. half a pound of butter
3. a jar of blackcurrant jam
4. six brown eggs
5. a bag of oats
6. one lemon and three limes
7. a bunch of parsley
8. smoked mackerel, two pieces
9. a bottle of cider vinegar
10. dark chocolate with sea salt`;

const TRAINS = `Oslo, 07:25, platform 3
Bergen, 08:10, platform 1
Trondheim, 08:42, platform 5
Stavanger, 09:05, platform 2
Drammen, 09:18, platform 4
Lillehammer, 09:51, platform 6
Kristiansand, 10:30, platform 2
Hamar, 10:44, platform 1`;

const LETTER = `Dear Mrs Holloway, thank you for your letter of the third of May. We have looked at the roof of the old boathouse and found that eleven slates are missing on the north side. The timber below them is dry and sound. Our men can begin on Monday the twentieth, and the work should take two days if the weather holds. The price of slates, nails and labour comes to four hundred and eighty pounds. Please tell us by Friday whether you would like us to go ahead. Yours sincerely, Thomas Pike.`;

const HISTORY = `The lighthouse on Gull Rock was built in 1847 from granite that came by barge from the quarry at Penhale. Its lamp burned colza oil at first, then paraffin, and from 1923 on it was electric. Three keepers lived there at a time, six weeks on and three weeks off. In the great storm of 1891 the sea broke the windows of the second floor, and the keepers spent two nights on the stairs. The last keeper left in 1986, when the light became automatic.`;

export const COPY_PROMPTS: readonly { readonly kind: string; readonly prompt: string }[] = [
  {
    kind: 'code',
    prompt: `Rename the variable "total" to "sum" in this function and show all of it:\n\n${JAVASCRIPT}`,
  },
  {
    kind: 'code',
    prompt: `Here is a Python class:\n\n${PYTHON}\n\nWrite the whole class again, with "owner" renamed to "holder".`,
  },
  { kind: 'code', prompt: `Change the version to 2.5.0 in this file and print the whole file:\n\n${JSON_TEXT}` },
  { kind: 'code', prompt: `Repeat this query, but for orders since '2025-01-01':\n\n${SQL}` },
  { kind: 'list', prompt: `Repeat this list exactly as it is:\n\n${SHOPPING}` },
  { kind: 'list', prompt: `Write out this timetable again, line by line, without changing anything:\n\n${TRAINS}` },
  { kind: 'quotation', prompt: `Quote the following letter word for word:\n\n${LETTER}` },
  { kind: 'quotation', prompt: `Copy this text exactly:\n\n${HISTORY}` },
  {
    kind: 'quotation',
    prompt: `Correct the spelling of this text and write it out in full:\n\n${HISTORY.replace('granite', 'granit').replace('quarry', 'quary').replace('windows', 'windos')}`,
  },
  {
    kind: 'quotation',
    prompt: `${HISTORY}\n\nQuote all that the text says about the storm and about the last keeper, sentence by sentence.`,
  },
];
