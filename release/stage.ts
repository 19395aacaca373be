import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'

/**
 * Lays out each package as it is published, in dist/NAME: what its `files` name, and a package.json without the `source`
 * condition, which leads to files that are not published. Publish from there, never from packages/NAME.
 */
const root = new URL('../', import.meta.url)

for (const name of ['core', 'presets', 'secrets', 'server', 'cli']) {
  const [from, to] = [new URL(`packages/${name}/`, root), new URL(`dist/${name}/`, root)]
  await rm(to, { recursive: true, force: true })
  await mkdir(to, { recursive: true })
  const manifest = JSON.parse(await readFile(new URL('package.json', from), 'utf8'))
  for (const file of manifest.files) await cp(new URL(file, from), new URL(file, to), { recursive: true })
  for (const file of ['LICENSE', 'README.md']) await cp(new URL(file, root), new URL(file, to))
  const { scripts: _, ...published } = { ...manifest, exports: withoutSource(manifest.exports) }
  await writeFile(new URL('package.json', to), `${JSON.stringify(published, null, 2)}\n`)
}

// The console is no package: the server that serves it carries it.
await cp(new URL('packages/console/dist', root), new URL('dist/server/dist/console', root), { recursive: true })

function withoutSource(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([condition]) => condition !== 'source')
      .map(([key, inner]) => [key, withoutSource(inner)]),
  )
}
