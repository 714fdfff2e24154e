/** What every detector answers with. */

export interface Timings {
  readonly preMs: number;
  readonly inferenceMs: number;
  readonly postMs: number;
}

/** A result with what it took. */
export interface Detection<T> {
  readonly value: T;
  readonly timings: Timings;
  readonly backend: string;
}
