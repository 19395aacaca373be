import { cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { builtConsole } from '../browser/build.ts'
import { root, runChild } from '../harness/child.ts'

/** What the Dockerfile of the examples ships of one, in a folder of its own. */
export interface Image {
  /** The folder in which its commands run: the working directory of the container. */
  readonly folder: string
  remove(): Promise<void>
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
 * Into a temporary folder: no `dist` of a package is read or written, so that neither an old one nor a build that runs beside
 * the tests can be what is tested. The console of the server is built where its sources are newer.
 *
 * @throws Error with what the compiler said
 */
export async function buildImage(name: string, { prepare }: ImageOptions = {}): Promise<Image> {
  const example = join(root, 'examples', name)
  const image = await mkdtemp(join(tmpdir(), 'keyturn-image-'))
  const folder = join(image, 'examples', name)
  await mkdir(join(image, 'node_modules', '@keyturn'), { recursive: true })
  await symlink(join(root, 'node_modules', '@types'), join(image, 'node_modules', '@types'))
  const ours = await link(example, image)
  await cp(example, folder, { recursive: true, filter: (path) => !/[\\/](dist|node_modules)([\\/]|$)/.test(path.slice(example.length)) })
  prepare?.(folder)
  await Promise.all(ours.map((part) => buildPart(part, image)))
  await compile('node_modules/typescript/bin/tsc', ['-p', join(folder, 'tsconfig.json')], folder)
  // The image holds no sources.
  await rm(join(folder, 'src'), { recursive: true })
  return { folder, remove: () => rm(image, { recursive: true, force: true }) }
}

/** Builds a package of ours. */
async function buildPart(part: string, image: string): Promise<void> {
  const [from, to] = [join(root, 'packages', part), join(image, 'packages', part)]
  await mkdir(to, { recursive: true })
  await cp(join(from, 'package.json'), join(to, 'package.json'))
  await symlink(to, join(image, 'node_modules', '@keyturn', part))
  await link(from, image)
  await compile('node_modules/tsdown/dist/run.mjs', ['--out-dir', join(to, 'dist')], from)
  if (part === 'server') await cp(builtConsole(), join(to, 'dist', 'console'), { recursive: true })
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
