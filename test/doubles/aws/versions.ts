import { AwsError } from './aws-error.ts'

export type Content = { readonly SecretString: string } | { readonly SecretBinary: string }

/** One version of a secret. */
export interface Version {
  readonly id: string
  readonly createdAt: Date
  /** Null in the placeholder that a rotation makes before its function has put anything. */
  content: Content | null
  readonly stages: Set<string>
}

export const CURRENT = 'AWSCURRENT'
export const PREVIOUS = 'AWSPREVIOUS'
export const PENDING = 'AWSPENDING'
const MOST_STAGES = 20
/** Of those without a label so many are kept; of the others, and of those younger than a day, all. */
const DEPRECATED_KEPT = 100
const DAY_MS = 86_400_000

/**
 * The versions of a secret and their labels. A label stands on one version at most. Whenever AWSCURRENT moves, AWSPREVIOUS moves to the
 * version that it left. A version without a label is deprecated, and goes some day.
 */
export class Versions {
  readonly #versions = new Map<string, Version>()
  readonly #clock: () => Date

  constructor(clock: () => Date) {
    this.#clock = clock
  }

  get all(): readonly Version[] {
    return [...this.#versions.values()]
  }

  get(id: string): Version | null {
    return this.#versions.get(id) ?? null
  }

  holder(stage: string): Version | null {
    return this.all.find(({ stages }) => stages.has(stage)) ?? null
  }

  /**
   * Makes a version, or fills the placeholder of a rotation. The same content once more changes nothing, its labels included.
   *
   * @throws `ResourceExistsException` for another content under the same id
   */
  put(id: string, content: Content, stages: readonly string[]): Version {
    const existing = this.get(id)
    if (existing !== null && existing.content !== null) {
      if (isSame(existing.content, content)) return existing
      throw new AwsError('ResourceExistsException', 400, `You tried to modify the content of ${id}, which already exists.`)
    }
    const version = existing ?? this.reserve(id)
    version.content = content
    for (const stage of stages) this.attach(stage, version)
    this.#forget()
    return version
  }

  /** A version without content. */
  reserve(id: string): Version {
    const version: Version = { id, createdAt: this.#clock(), content: null, stages: new Set() }
    this.#versions.set(id, version)
    return version
  }

  attach(stage: string, version: Version): void {
    const from = this.holder(stage)
    if (from === version) return
    if (version.stages.size >= MOST_STAGES) throw new AwsError('LimitExceededException', 400, 'too many staging labels')
    from?.stages.delete(stage)
    version.stages.add(stage)
    if (stage !== CURRENT || from === null) return
    this.holder(PREVIOUS)?.stages.delete(PREVIOUS)
    from.stages.add(PREVIOUS)
  }

  detach(stage: string): void {
    this.holder(stage)?.stages.delete(stage)
  }

  /** Removes what is deprecated, as AWS does in its own time. */
  purge(): void {
    for (const { id, stages } of this.all) if (stages.size === 0) this.#versions.delete(id)
  }

  #forget(): void {
    const deprecated = this.all.filter(({ stages }) => stages.size === 0)
    const old = this.#clock().getTime() - DAY_MS
    for (const { id, createdAt } of deprecated.slice(0, Math.max(0, deprecated.length - DEPRECATED_KEPT)))
      if (createdAt.getTime() < old) this.#versions.delete(id)
  }
}

const isSame = (a: Content, b: Content): boolean => JSON.stringify(a) === JSON.stringify(b)
