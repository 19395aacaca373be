import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Runs the packages as they would be installed, outside the repository: the command, the library, the server and the presets by their imports. */
const root = fileURLToPath(new URL('..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'keyturn-packed-'))
try {
  const modules = join(folder, 'node_modules')
  mkdirSync(join(modules, '@keyturn'), { recursive: true })
  for (const name of ['core', 'presets', 'secrets', 'server'])
    cpSync(join(root, 'dist', name), join(modules, '@keyturn', name), { recursive: true })
  cpSync(join(root, 'dist', 'cli'), join(modules, 'keyturn'), { recursive: true })
  for (const each of ['cli', 'server', 'secrets']) linkDependencies(each, modules)
  run(join(modules, 'keyturn', 'bin', 'keyturn.js'), '--help')
  run(join(modules, 'keyturn', 'bin', 'keyturn.js'), 'serve', '--help')
  run(
    '--input-type=module',
    '--eval',
    "const { keyturnServer, findConsole } = await import('@keyturn/server'); if (!keyturnServer || findConsole() === null) process.exit(1)",
  )
  run(join(modules, 'keyturn', 'bin', 'keyturn.js'), 'secrets', 'rotate', '--help')
  run(join(modules, 'keyturn', 'bin', 'keyturn.js'), 'demo', '--rows', '400', '--json')
  run(join(modules, 'keyturn', 'bin', 'keyturn.js'), 'presets', 'show', 'langfuse')
  run(
    '--input-type=module',
    '--eval',
    "const { open, defineConfig } = await import('@keyturn/core'); if (!open || !defineConfig) process.exit(1)",
  )
  run(
    '--input-type=module',
    '--eval',
    `const { loadPreset, presetNames } = await import('@keyturn/presets')
    for (const name of await presetNames()) {
      const { default: preset } = await import('@keyturn/presets/' + name)
      if (preset !== (await loadPreset(name))) process.exit(1)
      for (const { writes } of Object.values(preset.fields)) await import('@keyturn/core/codecs/' + (writes.codec ?? writes))
    }
    if (!(await presetNames()).includes('langfuse')) process.exit(1)`,
  )
  run(
    '--input-type=module',
    '--eval',
    `const { partNames } = await import('@keyturn/secrets')
    if (!(await partNames('rotators')).includes('random') || !(await partNames('stores')).includes('env-file')) process.exit(1)`,
  )
} finally {
  rmSync(folder, { recursive: true, force: true })
}
console.log('the packed packages run')

/** What a package depends on, as it is installed here; our own packages stand there already. */
function linkDependencies(name: string, modules: string): void {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8'))
  for (const dependency of Object.keys(dependencies).filter((each) => !each.startsWith('@keyturn/'))) {
    const nested = join(root, 'packages', name, 'node_modules', dependency)
    mkdirSync(join(modules, dependency, '..'), { recursive: true })
    const to = join(modules, dependency)
    if (!existsSync(to)) symlinkSync(existsSync(nested) ? nested : join(root, 'node_modules', dependency), to)
  }
}

function run(...args: string[]): void {
  execFileSync(process.execPath, args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] })
}
