namespace RbeMl.Cli.Inspect;

/// <summary>Style and script of the page of tiles.</summary>
internal static class TilePageParts
{
    /// <summary>The style sheet. The bar has the colours of the script.</summary>
    public const string Style = """
        :root { color-scheme: light dark; --ink: #1d2433; --soft: #667085; --line: #d9dee8; --back: #f6f7fa; --card: #fff; }
        @media (prefers-color-scheme: dark) { :root { --ink: #e8ebf2; --soft: #98a2b3; --line: #333b4d; --back: #12161f; --card: #1a202c; } }
        body { font: 15px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--back); margin: 0; padding: 2rem 1rem; }
        main { max-width: 76rem; margin: auto; }
        h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.05rem; margin: 0 0 .8rem; } summary h2 { display: inline; }
        h3 { font-size: .9rem; margin: 1rem 0 .3rem; }
        p.lead { color: var(--soft); margin: .2rem 0 1.5rem; }
        section, details { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.2rem 1.4rem; margin-bottom: 1.2rem; }
        summary { cursor: pointer; } .reading { color: var(--soft); font-size: .9rem; margin: .4rem 0 .8rem; max-width: 60rem; }
        .figures { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; } .figures b { display: block; font-size: 1.5rem; font-weight: 600; }
        .figures span { color: var(--soft); font-size: .85rem; }
        .legend { max-width: 34rem; font-size: .8rem; color: var(--soft); font-variant-numeric: tabular-nums; } .legend p { margin: .2rem 0 0; }
        .bar { height: .8rem; border-radius: 3px; background: linear-gradient(90deg,
            rgb(68, 1, 84), rgb(59, 82, 139), rgb(33, 145, 140), rgb(94, 201, 98), rgb(253, 231, 37)); }
        .ticks { display: flex; justify-content: space-between; }
        .maps { display: flex; flex-wrap: wrap; gap: .6rem .8rem; align-items: flex-start; --t: var(--wide); }
        figure { margin: 0; min-width: 6.5rem; max-width: 100%; }
        figcaption { font-size: .75rem; line-height: 1.35; color: var(--soft); margin-bottom: .25rem; width: min-content; min-width: 100%;
            overflow-wrap: break-word; } figcaption b { display: block; min-height: 2.7em; color: var(--ink); font-weight: 600; }
        canvas { display: block; width: calc(var(--c) * var(--t)); max-width: 100%; image-rendering: pixelated; }
        #tip { position: fixed; pointer-events: none; background: var(--ink); color: var(--card); padding: .2rem .5rem; border-radius: 6px;
            font-size: .8rem; white-space: pre; z-index: 1; }
        .wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
        th, td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; white-space: nowrap; }
        th:first-child, td:first-child { text-align: left; } th { color: var(--soft); font-weight: 500; }
        .notes { color: var(--soft); font-size: .85rem; margin: .6rem 0 0; }
        @media (max-width: 40rem) { body { padding: 1rem .5rem; } section, details { padding: .8rem; }
        th, td { padding: .3rem .4rem; font-size: .8rem; } .maps { --t: var(--narrow); } figure { min-width: 5rem; }
          .wide th { display: none; } .wide tr { display: flex; flex-wrap: wrap; gap: 0 .9rem; padding: .35rem 0;
              border-bottom: 1px solid var(--line); } .wide tr:first-child { display: none; }
          .wide td { border: 0; padding: 0; } .wide td:first-child { flex: 1 0 100%; font-weight: 600; } .wide td:empty { display: none; }
          .wide td[data-heading]::before { content: attr(data-heading) ' '; color: var(--soft); } }
        """;

    /// <summary>Draws a section when it is unfolded: a pixel a tile, scaled up; shows the numbers of the tile under the pointer.</summary>
    public const string Script = """
        'use strict';
        const stops = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
        const color = x => {
          const place = Math.min(1, Math.max(0, x)) * (stops.length - 1), left = Math.min(stops.length - 2, Math.floor(place)), part = place - left;
          return stops[left].map((c, i) => Math.round(c + (stops[left + 1][i] - c) * part));
        };
        const read = canvas => canvas.values ??= canvas.dataset.values.split(' ').map(Number);
        const show = (value, unit) => String(Number(value.toPrecision(4))) + (unit && ' ' + unit);
        const draw = (canvas, low, high) => {
          if (canvas.drawn) return;
          canvas.drawn = true;
          canvas.width = +canvas.dataset.columns;
          canvas.height = +canvas.dataset.rows;
          const context = canvas.getContext('2d'), image = context.createImageData(canvas.width, canvas.height);
          read(canvas).forEach((value, t) => image.data.set([...color(high > low ? (value - low) / (high - low) : .5), 255], 4 * t));
          context.putImageData(image, 0, 0);
        };
        const tip = document.getElementById('tip'), canvases = [...document.querySelectorAll('canvas')];
        for (const details of document.querySelectorAll('details')) {
          const own = [...details.querySelectorAll('canvas')];
          const open = () => details.open && own.forEach(canvas => draw(canvas, +details.dataset.low, +details.dataset.high));
          details.addEventListener('toggle', open);
          open();
        }
        for (const canvas of canvases) {
          const same = canvases.filter(c => c.dataset.matrix === canvas.dataset.matrix), rows = +canvas.dataset.rows, columns = +canvas.dataset.columns;
          canvas.addEventListener('pointerleave', () => { tip.hidden = true; });
          canvas.addEventListener('pointermove', event => {
            const box = canvas.getBoundingClientRect();
            const row = Math.floor((event.clientY - box.top) / box.height * rows), column = Math.floor((event.clientX - box.left) / box.width * columns);
            tip.hidden = row < 0 || column < 0 || row >= rows || column >= columns;
            if (tip.hidden) return;
            tip.textContent = `tile ${row}, ${column}\n`
                + same.map(c => `${c.dataset.name} ${show(read(c)[row * columns + column], c.dataset.unit)}`).join('\n');
            tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 4) + 'px';
            tip.style.top = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 4) + 'px';
          });
        }
        """;
}
