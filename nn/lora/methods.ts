/** Methods other than LoRA whose files look alike, by the ends of the names of their tensors. */
const methods: readonly (readonly [name: RegExp, method: string])[] = [
  [/\.(dora_scale|lora_magnitude_vector(\.weight)?)$/, 'DoRA, which also scales the rows of weights'],
  [/\.hada_(w[12]_[ab]|t[12])$/, 'LoHa, which multiplies two products of low rank element by element'],
  [/\.lokr_(w[12](_[ab])?|t[12])$/, 'LoKr, which is a Kronecker product'],
  [/\.lora_mid(\.weight)?$/, 'LoCon with Tucker decomposition, which has a third tensor between A and B'],
  [/\.(oft_(diag|blocks|R(\.weight)?)|boft_[a-zA-Z_]+)$/, 'OFT, which rotates weights'],
  [/\.(diff|diff_b|set_weight)$/, 'whole differences of weights, which are no product of low rank'],
  [/\.lora_(B|up)\.bias$/, 'LoRA with biases'],
];

/** What is said of tensors that belong to another method, one line a method, and the names that these lines speak of. */
export function otherMethods(names: readonly string[]): { readonly lines: string[]; readonly of: ReadonlySet<string> } {
  const found = methods.flatMap(([pattern, method]) => {
    const own = names.filter((name) => pattern.test(name));
    return own.length === 0 ? [] : [{ method, own }];
  });
  const lines = found.map(
    ({ method, own }) =>
      `the file is of the method ${method} ('${own[0]}'${own.length > 1 ? ` and ${own.length - 1} more` : ''}); only plain LoRA is supported`,
  );
  return { lines, of: new Set(found.flatMap(({ own }) => own)) };
}
