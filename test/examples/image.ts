import { existsSync } from 'node:fs'
import { cp, mkdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { builtConsole } from '../browser/build.ts'
import { root, runChild } from '../harness/child.ts'
import { madeOnce } from '../harness/made-once.ts'

/** What the Dockerfile of the examples ships of one. The tests of a run share it, and write nothing into it. */
export interface Image {
  /** The folder in which its commands run: the working directory of the container. */
  readonly folder: string
}

/** What differs between the examples. */
export interface ImageOptions {
  /** What its build does before it compiles. */
  readonly prepare?: (folder: string) => void
}

/**
 * Builds the packages that an example names and the example as their Dockerfile does, with the compilers of the repository instead of an
 * installation.
 *
 * Into a folder of the run, once: no `dist` of a package is read or written, so that neither an old one nor a build that runs beside
 * the tests can be what is tested. The console of the server is built where its sources are newer.
 *
 * @throws Error with what the compiler said
 */
export async function buildImage(name: string, options: ImageOptions = {}): Promise<Image> {
  const image = await madeOnce(`image-of-${name}`, (folder) => fillImage(folder, name, options))
  return { folder: join(image, 'examples', name) }
}

async function fillImage(image: string, name: string, { prepare }: ImageOptions): Promise<void> {
  const example = join(root, 'examples', name)
  const folder = join(image, 'examples', name)
  await mkdir(join(image, 'node_modules', '@keyturn'), { recursive: true })
  await symlink(join(root, 'node_modules', '@types'), join(image, 'node_modules', '@types'))
  const ours = await link(example, image)
  await cp(example, folder, { recursive: true, filter: (path) => !/[\\/](dist|node_modules)([\\/]|$)/.test(path.slice(example.length)) })
  prepare?.(folder)
  await addParts(ours, image)
  await compile('node_modules/typescript/bin/tsc', ['-p', join(folder, 'tsconfig.json')], folder)
  // The image holds no sources.
  await rm(join(folder, 'src'), { recursive: true })
  await lighten('drizzle-orm', join(image, 'node_modules'))
}

/**
 * Puts a copy in place of a package, where it is there, whose package.json names entries of the first level only.
 *
 * For each module Node parses the package.json above it. The 447 entries of drizzle-orm cost every start of an example a second.
 */
async function lighten(name: string, modules: string): Promise<void> {
  const [from, to] = [join(root, 'node_modules', name), join(modules, name)]
  if (!existsSync(to)) return
  await rm(to)
  await cp(from, to, { recursive: true, filter: async (path) => (await stat(path)).isDirectory() || /\.js$/.test(path) })
  const { exports, ...rest } = JSON.parse(await readFile(join(from, 'package.json'), 'utf8')) as { exports: object }
  const entries = Object.entries(exports).filter(([entry]) => entry.split('/').length <= 2)
  await writeFile(join(to, 'package.json'), JSON.stringify({ ...rest, exports: Object.fromEntries(entries) }))
}

/** Puts packages of ours into an image, with those of ours that they depend on. */
async function addParts(parts: readonly string[], image: string, added = new Set<string>()): Promise<void> {
  const missing = parts.filter((part) => !added.has(part))
  if (missing.length === 0) return
  for (const part of missing) added.add(part)
  const theirs = await Promise.all(missing.map((part) => addPart(part, image)))
  await addParts([...new Set(theirs.flat())], image, added)
}

/** Puts a package of ours into an image, built once for all images. @returns those of its dependencies that are ours */
async function addPart(part: string, image: string): Promise<string[]> {
  const built = await madeOnce(`built-${part}`, (folder) => buildPart(part, folder))
  await cp(built, join(image, 'packages', part), { recursive: true })
  await symlink(join('..', '..', 'packages', part), join(image, 'node_modules', '@keyturn', part))
  return await link(join(root, 'packages', part), image)
}

async function buildPart(part: string, folder: string): Promise<void> {
  const from = join(root, 'packages', part)
  await cp(join(from, 'package.json'), join(folder, 'package.json'))
  await compile('node_modules/tsdown/dist/run.mjs', ['--out-dir', join(folder, 'dist')], from)
  if (part === 'server') await cp(builtConsole(), join(folder, 'dist', 'console'), { recursive: true })
}

/** Puts what a package depends on into an image. @returns those of its dependencies that are ours */
async function link(from: string, image: string): Promise<string[]> {
  const { dependencies = {} } = JSON.parse(await readFile(join(from, 'package.json'), 'utf8')) as { dependencies?: object }
  const names = Object.keys(dependencies)
  for (const name of names.filter((each) => !each.startsWith('@keyturn/'))) {
    const place = join(image, 'node_modules', name)
    await mkdir(dirname(place), { recursive: true })
    await symlink(join(root, 'node_modules', name), place).catch((error: NodeJS.ErrnoException) => {
      // Several depend on it.
      if (error.code !== 'EEXIST') throw error
    })
  }
  return names.filter((each) => each.startsWith('@keyturn/')).map((each) => each.slice('@keyturn/'.length))
}

async function compile(compiler: string, args: readonly string[], cwd: string): Promise<void> {
  const { code, stdout, stderr } = await runChild(compiler, args, { cwd, node: [] })
  if (code !== 0) throw new Error(`${compiler} ended with ${code}:\n${stdout}${stderr}`)
}
