/**
 * The vertices that `roots` depend on, roots included, inputs before users. A depth-first post-order, so that a value comes
 * shortly before its first use; iterative, because graphs may be too deep for recursion.
 */
export function topologicalOrder<V>(roots: readonly V[], inputsOf: (vertex: V) => readonly V[]): V[] {
  const order: V[] = [];
  const seen = new Set<V>();
  const stack: { vertex: V; inputs: readonly V[]; next: number }[] = [];
  const enter = (vertex: V) => {
    if (seen.has(vertex)) return;
    seen.add(vertex);
    stack.push({ vertex, inputs: inputsOf(vertex), next: 0 });
  };
  for (const root of roots) {
    enter(root);
    for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
      const input = frame.inputs[frame.next++];
      if (input !== undefined) enter(input);
      else order.push((stack.pop() as typeof frame).vertex);
    }
  }
  return order;
}
