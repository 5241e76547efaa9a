/** Settings or names with which a program cannot start. The message is for whoever starts it. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}
