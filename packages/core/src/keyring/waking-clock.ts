/** By how much the time of day must run ahead before it counts as sleep: what corrects it bit by bit stays far below. */
const LEAST_SLEEP_MS = 1_000

/**
 * Milliseconds of a clock that never goes back and goes on while the machine sleeps.
 *
 * The monotonic clock of a process stands still while a machine is suspended or a virtual one is paused: a process that wakes would
 * take its keys for fresh. So where the time of day has run ahead of it, the difference counts as time that has passed. Time of day
 * that was set forward is taken for sleep, too: then keys are loaded once more than needed. Set back, it counts for nothing.
 */
export function wakingClock(
  monotonicMs: () => number = () => performance.now(),
  timeOfDayMs: () => number = () => Date.now(),
): () => number {
  let [monotonic, timeOfDay, asleepMs] = [monotonicMs(), timeOfDayMs(), 0]
  return () => {
    const [monotonicNow, timeOfDayNow] = [monotonicMs(), timeOfDayMs()]
    const aheadMs = timeOfDayNow - timeOfDay - (monotonicNow - monotonic)
    if (aheadMs >= LEAST_SLEEP_MS) asleepMs += aheadMs
    monotonic = monotonicNow
    timeOfDay = timeOfDayNow
    return monotonicNow + asleepMs
  }
}
