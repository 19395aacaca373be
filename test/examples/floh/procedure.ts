import { readDocument } from '../procedure.ts'

/** The requests that a document has an operator make, in their order. */
export function documentedRequests(file: string): { readonly method: string; readonly path: string }[] {
  const found = readDocument('floh', file).matchAll(/^curl -s(?:X (\w+))? localhost:4200(\S+) -H "Authorization: Bearer \$TOKEN"$/gm)
  return [...found].map(([, method = 'GET', path = '']) => ({ method, path }))
}
