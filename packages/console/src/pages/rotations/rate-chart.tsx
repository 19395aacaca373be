import { useEffect, useRef } from 'react'
import Plot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { count } from '../../words/numbers.ts'
import type { Sample } from './live.ts'

const height = 160

/** The curve of the rate. The same is said in numbers above it, so it is a picture and nothing more. */
export default function RateChart({ samples }: { samples: readonly Sample[] }) {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<Plot | null>(null)
  useEffect(() => {
    const element = place.current
    if (element === null) return
    plot.current = new Plot(optionsFor(element), [[], []], element)
    const resized = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }))
    resized.observe(element)
    return () => {
      resized.disconnect()
      plot.current?.destroy()
    }
  }, [])
  useEffect(() => {
    plot.current?.setData([samples.map(({ at }) => at), samples.map(({ rate }) => rate)])
  }, [samples])
  const last = samples.at(-1)?.rate ?? 0
  return <div ref={place} className="chart" role="img" aria-label={`Curve of the rate, now ${count(Math.round(last))} rows a second`} />
}

const time = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' })
const clock = (seconds: number): string => time.format(seconds * 1000)

function optionsFor(element: HTMLElement): Plot.Options {
  // A canvas knows nothing of light-dark(): colours are read from properties that the browser has resolved.
  const ink = (property: 'color' | 'caretColor' | 'borderTopColor') => () => getComputedStyle(element)[property]
  const grid = { stroke: ink('borderTopColor'), width: 1 }
  const axis = { stroke: ink('caretColor'), grid, ticks: { show: false }, font: '12px system-ui' }
  return {
    width: element.clientWidth,
    height,
    legend: { show: false },
    cursor: { show: false },
    scales: { y: { range: (_, __, most) => [0, Math.max(10, most * 1.15)] } },
    axes: [
      { ...axis, size: 32, space: 90, incrs: [1, 2, 5, 10, 30, 60, 300, 900], values: (_, splits) => splits.map(clock) },
      { ...axis, size: 60, values: (_, splits) => splits.map((each) => count(each)) },
    ],
    series: [{}, { stroke: ink('color'), width: 2, points: { show: false } }],
  }
}
