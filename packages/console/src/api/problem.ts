/** What went wrong with a request, and what to do next: the one error of the console. */
export class Problem extends Error {
  readonly code: string
  readonly status: number
  readonly detail: string
  readonly next: string
  /** JSON pointer of the member of the body that was refused. */
  readonly field: string | null

  constructor({ code, status, detail, field = null }: { code: string; status: number; detail: string; field?: string | null }) {
    super(`${code}: ${detail}`)
    this.code = code
    this.status = status
    this.detail = detail
    this.field = field
    this.next = nextSteps[code] ?? byStatus[status] ?? 'Try again. If it stays so, the log of the server says more.'
  }
}

/** For what the console itself noticed: nobody answers. */
export const unreachable = 'ERR_UNREACHABLE'

const nextSteps: { readonly [code: string]: string } = {
  [unreachable]: 'It may be restarting: this page tries again by itself. Rotations go on where they stopped.',
  ERR_UNAUTHORIZED: 'Log in again.',
  ERR_FORBIDDEN: 'Ask an administrator for a higher role.',
  ERR_ROTATION_RUNNING: 'Watch the rotation that runs, or wait until it is done.',
  ERR_RATE_LIMITED: 'Wait for a minute, then try again.',
  ERR_PASSWORD_AGAIN: 'Give your password once more.',
  ERR_SET_ASIDE: 'Mend or remove the values set aside, or accept their exact number.',
  ERR_STILL_NAMED: 'Mend or remove them first: with this key they are lost for good.',
  ERR_HORIZON: 'Wait until then, or say that no backup is needed any more.',
  ERR_SAMPLE_SHARE: 'Look at the plan and accept that these values will be set aside.',
  ERR_PLAN_CHANGED: 'Make a new plan and look at it again.',
  ERR_SECRET_PLAN: 'Mend what is named, then look at the plan again.',
  ERR_RUN_RUNNING: 'Watch the run that goes on, or wait until it is done.',
  ERR_RUN_STATE: 'It has gone on meanwhile. Look at the run again.',
  ERR_RUN_LEASE: 'A step is being done. Try again in a moment.',
  ERR_PROVIDED: 'Look at it where it was made, and paste it again.',
  ERR_UNKNOWN_NAME: 'It may have another name, or be gone. Choose it from the list.',
  ERR_LAST_ADMIN: 'Make somebody else an administrator first.',
  ERR_NOT_FOUND: 'It may have been removed meanwhile. Go back to the list.',
}
const byStatus: { readonly [status: number]: string } = {
  400: 'Correct what is named and send it again.',
  404: 'It may have been removed meanwhile. Go back to the list.',
  503: 'The server lacks its database or a key. /health says which part.',
}

/** Any error as a problem: what is none of ours is a fault of the page. */
export const asProblem = (error: unknown): Problem =>
  error instanceof Problem ? error : new Problem({ code: 'ERR_PAGE', status: 0, detail: 'the page met an error of its own' })
