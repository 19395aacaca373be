/** A column of time as ISO text in UTC, whatever the settings of the session. */
export const utc = (column: string, as = column): string =>
  `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS ${as}`
