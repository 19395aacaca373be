/**
 * Whether a value can be what is shown of it: `sk-ant-api03-R2D...igAA`, `sk-pr****abcd`. False where too little is shown to tell, which is
 * less than two characters at its end.
 */
export function matchesRedacted(value: string, redacted: string): boolean {
  const [, start = '', end = ''] = /^([^.*…]*)[.*…]+([^.*…]*)$/.exec(redacted) ?? []
  return end.length >= 2 && value.length > start.length + end.length && value.startsWith(start) && value.endsWith(end)
}
