/** Repositories of a Hugging Face hub, fetched into its cache. Knows no models beyond the names of their files. */
export { chooseFiles } from './choose-files.ts';
export { HubError, type HubErrorCode } from './errors.ts';
export { type PullOptions, pullFiles } from './pull.ts';
export { type HubFile, type HubRepository, readRepository } from './repository.ts';
export { type HubSettings, hubSettings } from './settings.ts';
