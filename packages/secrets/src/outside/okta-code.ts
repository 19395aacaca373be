/** What is the matter in an error of Okta, in the form of a code: its causes are sentences, and three of them share one code. */
const causes = [
  [/maximum number of client secrets/, 'too-many-client-secrets'],
  [/delete an active client secret/, 'client-secret-is-active'],
  [/deactivate the only active client secret/, 'only-active-client-secret'],
] as const

/** The code of Okta's error, with its cause where that is a known one: `E0000001.too-many-client-secrets`. */
export function oktaCode(body: unknown): string | undefined {
  const { errorCode, errorCauses } = body as { errorCode?: unknown; errorCauses?: { errorSummary?: unknown }[] }
  if (typeof errorCode !== 'string') return undefined
  const summary = String(errorCauses?.[0]?.errorSummary ?? '')
  const cause = causes.find(([pattern]) => pattern.test(summary))?.[1]
  return cause === undefined ? errorCode : `${errorCode}.${cause}`
}
