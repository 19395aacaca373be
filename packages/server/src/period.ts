const unitSeconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 }

/** A period of the configuration, `90d`, in seconds. */
export const periodSeconds = (text: string): number => Number(text.slice(0, -1)) * (unitSeconds[text.slice(-1)] ?? Number.NaN)
