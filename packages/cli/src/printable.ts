// What names a row, a table or a root comes from the database, and whoever wrote it there must not command the operator's terminal.

/**
 * A text whose control characters stand for themselves no more: each is written as in JSON, so that a line of JSON means the same
 * afterwards. Lines and tabs stay.
 */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, escaped)
}

/** The same for what must stay on one line: what a name pretends to be on the next one is not said by Keyturn. */
export function oneLine(text: string): string {
  return printable(text).replace(/[\t\n]/g, escaped)
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
