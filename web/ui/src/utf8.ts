// Names that PromQL takes in quotes only.

const plain = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const amongLabels = /\{[^}]*$|\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*$/i;

/** quoted is what completes a name of a metric or label behind the text before it; undefined: the name itself. */
export function quoted(name: string, before: string): string | undefined {
  if (plain.test(name)) return undefined;
  return amongLabels.test(before) ? JSON.stringify(name) : `{${JSON.stringify(name)}}`;
}
