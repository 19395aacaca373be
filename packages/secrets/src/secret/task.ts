/** Something that only a person can do. */
export interface Task {
  /** One line: "Make an API key for workspace "prod" in the Anthropic console". */
  readonly title: string
  /** What to do, in steps, in Markdown. Never a secret. */
  readonly instructions: string
  /** Where to do it. */
  readonly url?: string
  /** What to paste when it is done; empty where nothing is. */
  readonly paste: readonly Paste[]
}

/** A part that a person pastes. White space around it is taken off. */
export interface Paste {
  readonly part: string
  readonly label: string
  /** A regular expression of whole texts. */
  readonly pattern?: string
}
