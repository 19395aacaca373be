import type { Route } from '../route.ts'

const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)

/** The HTTP API as a page, from its OpenAPI document: no script, and a style sheet of its own. */
export function documentationPage(routes: readonly Route[], document: object, prefix: string): string {
  const paths = (document as { paths: Record<string, Record<string, object>> }).paths
  const sections = routes.map((route) => {
    const operation = paths[route.path.replaceAll(/:([A-Za-z]+)/g, '{$1}')]?.[route.method.toLowerCase()]
    return `<details><summary><b>${route.method}</b> <code>${escaped(prefix + route.path)}</code> <span>${escaped(route.summary)}</span> <i>${route.role}</i></summary>
<pre>${escaped(JSON.stringify(operation, null, 2))}</pre></details>`
  })
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Keyturn: the HTTP API</title>
<link rel="stylesheet" href="${escaped(prefix)}/docs.css"></head>
<body><main><h1>The HTTP API of Keyturn</h1>
<p>As <a href="${escaped(prefix)}/openapi.json">OpenAPI 3.1</a>. Errors are problem documents (<code>application/problem+json</code>) with a <code>code</code>.</p>
${sections.join('\n')}
</main></body></html>
`
}

export const documentationStyle = `:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { margin: 0; background: light-dark(#fbfaf8, #16181d); color: light-dark(#1c1f26, #e8e6e1) }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem }
details { border-top: 1px solid light-dark(#ddd9d0, #333944); padding: .5rem 0 }
summary { cursor: pointer }
summary b { display: inline-block; min-width: 4.5rem }
summary span { opacity: .8 }
summary i { float: right; opacity: .7; font-style: normal }
pre { overflow: auto; background: light-dark(#f1eee8, #1f232b); padding: 1rem; border-radius: .5rem; font-size: .85rem }
a { color: light-dark(#0b5c8a, #7cc4f0) }
`
