/** Compiled plans by the key of their program. Beyond the capacity, the least recently used plan is evicted. */
export class PlanCache<Plan> {
  readonly #capacity: number;
  readonly #onEvict: (plan: Plan) => void;
  /** In the order of use, the least recently used first. */
  readonly #plans = new Map<string, Plan>();

  /** `onEvict` releases what an evicted plan holds. */
  constructor(capacity: number, onEvict: (plan: Plan) => void) {
    this.#capacity = capacity;
    this.#onEvict = onEvict;
  }

  /** The plan of a program, which becomes the most recently used one. */
  get(key: string): Plan | undefined {
    const plan = this.#plans.get(key);
    if (plan === undefined) return undefined;
    this.#plans.delete(key);
    this.#plans.set(key, plan);
    return plan;
  }

  set(key: string, plan: Plan): void {
    this.#plans.set(key, plan);
    for (const [oldest, evicted] of this.#plans) {
      if (this.#plans.size <= this.#capacity) break;
      this.#plans.delete(oldest);
      this.#onEvict(evicted);
    }
  }
}
