import { commandDocument } from './command.ts'
import { errorsDocument } from './errors.ts'
import { partsDocument } from './parts.ts'

/** Documents that are written by `npm run docs`, by their paths from the root. */
export const generated: Readonly<Record<string, () => string | Promise<string>>> = {
  'docs/errors.md': errorsDocument,
  'docs/command.md': commandDocument,
  'docs/secret-parts.md': partsDocument,
}
