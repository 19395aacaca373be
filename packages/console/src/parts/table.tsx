import type { ReactNode } from 'react'

/** A column: its name, what stands in it, and whether it holds numbers. */
export interface Column<T> {
  readonly name: string
  readonly cell: (row: T) => ReactNode
  readonly numbers?: boolean
  /** A class for its width: with one, the columns of all tables of a page stand below each other. */
  readonly width?: string
  /** Nothing but things to press: the name is for screen readers. */
  readonly unnamed?: boolean
}

interface TableProps<T> {
  readonly caption: string
  readonly columns: readonly Column<T>[]
  readonly rows: readonly T[]
  readonly keyOf: (row: T) => string
  /** Its rows hold things to press or choose. */
  readonly controls?: boolean
}

// Where there is no room each row is shown as blocks, and a table shown as blocks is none for screen readers: the roles say that it is.
const is = {
  table: { role: 'table' },
  group: { role: 'rowgroup' },
  row: { role: 'row' },
  header: { role: 'columnheader' },
  cell: { role: 'cell' },
} as const

/** Rows and columns; on a narrow page each row becomes a list of its own. */
export function Table<T>({ caption, columns, rows, keyOf, controls = false }: TableProps<T>) {
  return (
    <table
      {...is.table}
      className="table"
      aria-label={caption}
      data-controls={controls}
      data-fixed={columns.some(({ width }) => width !== undefined)}
    >
      <thead {...is.group}>
        <tr {...is.row}>
          {columns.map(({ name, numbers, unnamed, width }) => (
            <th {...is.header} key={name} scope="col" data-align={numbers ? 'end' : undefined} className={width}>
              {unnamed ? <span className="sr-only">{name}</span> : name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody {...is.group}>
        {rows.map((row) => (
          <tr {...is.row} key={keyOf(row)}>
            {columns.map(({ name, cell, numbers, unnamed }) => (
              <td {...is.cell} key={name} data-label={unnamed ? '' : name} data-align={numbers ? 'end' : undefined}>
                <div>{cell(row)}</div>
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  )
}
