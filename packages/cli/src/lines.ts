import { createInterface, type Interface } from 'node:readline'
import { Writable } from 'node:stream'
import { INTERRUPTED_TWICE } from './exit.ts'
import type { Io } from './io.ts'

/** Lines of standard input, one at a time: keys first, then answers. What is typed for a key is not shown. */
export class Lines {
  readonly #io: Io
  #reader: Interface | null = null
  #lines: AsyncIterator<string> | null = null

  constructor(io: Io) {
    this.#io = io
  }

  /** The next line without its line break, or null at the end. In a terminal the question is shown. */
  async next(question: string, how: { readonly hidden: boolean }): Promise<string | null> {
    // A terminal shows what is typed for a key unless it is told not to, wherever standard error goes.
    if (this.#io.isTTY || (how.hidden && 'isTTY' in this.#io.stdin && this.#io.stdin.isTTY)) return this.#ask(question, how.hidden)
    this.#reader ??= createInterface({ input: this.#io.stdin, terminal: false })
    this.#lines ??= this.#reader[Symbol.asyncIterator]()
    const { value, done } = await this.#lines.next()
    return done ? null : value
  }

  close(): void {
    this.#reader?.close()
  }

  /** One reader for one question: while it is open, a terminal gives Ctrl-C to it and not to the process. */
  async #ask(question: string, hidden: boolean): Promise<string | null> {
    const { stdin: input, stderr } = this.#io
    const show = (text: string) => void stderr.write(text)
    const output = new Writable({
      write(chunk: Buffer, _, done) {
        if (!hidden) show(chunk.toString())
        done()
      },
    })
    const reader = createInterface({ input, output, terminal: true, historySize: 0 })
    try {
      return await new Promise((answer) => {
        reader.once('close', () => answer(null))
        reader.once('SIGINT', () => this.#io.exit(INTERRUPTED_TWICE))
        if (hidden) show(question)
        reader.question(question, answer)
      })
    } finally {
      reader.close()
      if (hidden) show('\n')
    }
  }
}
