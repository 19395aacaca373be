/** Writes one line of JSON for each event. No line holds a credential, or what another service said about one. */
export type Log = (event: string, facts?: { readonly [name: string]: string | number }) => void

/** @param write - given each line, with its line end */
export function logTo(write: (line: string) => void): Log {
  return (event, facts = {}) => write(`${JSON.stringify({ time: new Date().toISOString(), event, ...facts })}\n`)
}
