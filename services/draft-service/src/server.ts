/** Starts the draft-service. */
import { runModelService } from '@forerunner/model-service';
import { draftService } from './service.ts';

await runModelService(draftService);
