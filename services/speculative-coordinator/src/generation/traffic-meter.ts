/** Counts the bytes of an answer's calls. */
export class TrafficMeter {
  #numBytes = 0;

  readonly add = (sentBytes: number, receivedBytes: number): void => {
    this.#numBytes += sentBytes + receivedBytes;
  };

  /** Bytes since the last time. */
  take(): number {
    const numBytes = this.#numBytes;
    this.#numBytes = 0;
    return numBytes;
  }
}
