/**
 * How the threads of one pass wait for each other. A pass of a small model is hundreds of operators of some ten
 * microseconds: a thread that sleeps between two of them is woken too late for the next. So they spin, for as long as
 * that takes and never after the pass, which would take the core from whoever comes next: docs/decisions/0018.
 */
export const THREADING_OPTIONS: Readonly<Record<string, string>> = {
  'session.intra_op.allow_spinning': '1',
  'session.intra_op.spin_duration_us': '20',
  'session.force_spinning_stop': '1',
  'session.inter_op.allow_spinning': '0',
};
