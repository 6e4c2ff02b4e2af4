import { type Node, type ParseError, parseTree, printParseErrorCode } from 'jsonc-parser';

function describe(text: string, { error, offset }: ParseError): string {
  const before = text.slice(0, offset).split('\n');
  return `${printParseErrorCode(error)} at line ${before.length}, column ${(before.at(-1) as string).length + 1}`;
}

/** The library's own reader would make a key `__proto__` the prototype. */
function toValue(node: Node | undefined): unknown {
  if (node?.type === 'array') return (node.children ?? []).map(toValue);
  if (node?.type !== 'object') return node?.value;
  return Object.fromEntries((node.children ?? []).map(({ children }) => [children?.[0]?.value as string, toValue(children?.[1])]));
}

/** Reads JSON with comments and trailing commas. `problems` has one line for each error of syntax; `value` is then of no use. */
export function parseJsonc(text: string): { value: unknown; problems: string[] } {
  const errors: ParseError[] = [];
  const tree = parseTree(text.replace(/^\uFEFF/, ''), errors, { allowTrailingComma: true });
  return { value: toValue(tree), problems: errors.map((error) => describe(text, error)) };
}
