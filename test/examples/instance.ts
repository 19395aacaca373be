import type { Child } from '../harness/child.ts'

/** A line of the log of an example. */
export type LogLine = { readonly level: number; readonly msg?: string; readonly event?: string; readonly [name: string]: unknown }
export type Instance = Awaited<ReturnType<typeof startInstance>>

/** Waits until a process of an example says `ready`. What it prints is kept in `printed` when it ends, to be searched for secrets. */
export async function startInstance(child: Child, printed: string[], ready = 'listening on ') {
  await child.printed(ready)
  const log = (): LogLine[] => child.stdout.split('\n').flatMap((line) => (line.endsWith('}') ? [JSON.parse(line)] : []))
  const end = async (signal: NodeJS.Signals) => {
    const { stdout, stderr } = await child.kill(signal)
    printed.push(stdout, stderr)
  }
  return {
    /** Where it listens. */
    url: /listening on (http:[^"\s]+)/.exec(child.stdout)?.[1] ?? '',
    log,
    /** The lines of its log with an event of this name. */
    events: (event: string) => log().filter((line) => line.event === event),
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    /** SIGTERM, without waiting for the end. */
    terminate: () => void child.kill('SIGTERM'),
  }
}

/** What became of a process of an example that was to refuse its start. */
export async function refusalOf(child: Child, printed: string[]): Promise<{ code: number | null; message: string }> {
  const { code, stdout, stderr } = await child.exit
  printed.push(stdout, stderr)
  return { code, message: stdout }
}
