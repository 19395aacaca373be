/** Where `scripts/restart.ts` finds the development server: its process, and how often it has read `.env`. */
export interface DevState {
  readonly pid: number
  readonly reads: number
  /** Whether the last start failed; the processes from before then go on. */
  readonly failed: boolean
}

/** In the working directory. */
export const stateFile = '.cloudforge-dev.json'
