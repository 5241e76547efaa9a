/** Starts the target-service. */
import { runModelService } from '@forerunner/model-service';
import { targetService } from './service.ts';

await runModelService(targetService);
