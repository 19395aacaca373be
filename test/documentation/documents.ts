import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../harness/child.ts'

/** Every Markdown document at the root, in docs/ and in spec/, by its path. */
export function readDocuments(): Map<string, string> {
  const folders = ['.', 'docs', 'spec', 'bench'].filter((folder) => existsSync(join(root, folder)))
  const paths = folders.flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => join(folder, name)),
  )
  return new Map(paths.map((path) => [path, readFileSync(join(root, path), 'utf8')]))
}
