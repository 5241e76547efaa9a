/** What the pools of drafts and targets count, in sum and by replica. Replicas that are gone leave no series behind. */
import { Counter, Gauge, type Registry } from 'prom-client';
import { POOL_ROLES, type PoolEvents, type PoolRole } from './pair/pool/pool.ts';
import { REPLICA_STATES, type Replica } from './pair/pool/replica.ts';

/** Returns what the pools are to be told. `replicasOf` is asked at every scrape; a role without a pool has none. */
export function createPoolMetrics(registry: Registry, replicasOf: (role: PoolRole) => readonly Replica[]): PoolEvents {
  const registers = [registry];
  new Gauge({
    name: 'forerunner_replicas',
    help: 'Replicas by role (draft, target) and state: serving; failing: it does not answer; ejected: much slower or failing more often than the others, passed over for a while; refused: its model does not fit; leaving: gone from its name, while answers under way still work on it.',
    labelNames: ['role', 'state'],
    registers,
    collect() {
      for (const role of POOL_ROLES) {
        const replicas = replicasOf(role);
        for (const state of REPLICA_STATES) {
          this.set({ role, state }, replicas.filter((replica) => replica.state === state).length);
        }
      }
    },
  });
  const byReplica = (name: string, help: string, read: (replica: Replica) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ['role', 'replica'],
      registers,
      collect() {
        this.reset();
        for (const role of POOL_ROLES) {
          for (const replica of replicasOf(role)) this.set({ role, replica: replica.name }, read(replica));
        }
      },
    });
  byReplica('forerunner_replica_serving', '1 while new answers may go to the replica.', ({ state }) =>
    state === 'serving' ? 1 : 0,
  );
  byReplica('forerunner_replica_answers', 'Answers that work on the replica now.', ({ numRunning }) => numRunning);
  const ejections = new Counter({
    name: 'forerunner_replica_ejections_total',
    help: 'Replicas passed over for a while, by role and reason: failures (more often than the others) or latency (against their median).',
    labelNames: ['role', 'reason'],
    registers,
  });
  const moves = new Counter({
    name: 'forerunner_answer_moves_total',
    help: 'Answers under way that went on at another replica, by role.',
    labelNames: ['role'],
    registers,
  });
  for (const role of POOL_ROLES) {
    moves.inc({ role }, 0);
    for (const reason of ['failures', 'latency']) ejections.inc({ role, reason }, 0);
  }
  return {
    ejected: (role, reason) => ejections.inc({ role, reason }),
    moved: (role) => moves.inc({ role }),
  };
}
