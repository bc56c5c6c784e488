namespace RbeMl.Cli.Inspect;

/// <summary>Style and script of the page of tiles.</summary>
internal static class TilePageParts
{
    /// <summary>The style sheet.</summary>
    public const string Style = """
        :root { color-scheme: light dark; --ink: #1d2433; --soft: #667085; --line: #d9dee8; --back: #f6f7fa; --card: #fff; }
        @media (prefers-color-scheme: dark) { :root { --ink: #e8ebf2; --soft: #98a2b3; --line: #333b4d; --back: #12161f; --card: #1a202c; } }
        body { font: 15px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--back); margin: 0; padding: 2rem 1rem; }
        main { max-width: 72rem; margin: auto; }
        h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.05rem; margin: 0 0 .8rem; } p.lead { color: var(--soft); margin: .2rem 0 1.5rem; }
        section, details { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.2rem 1.4rem; margin-bottom: 1.2rem; }
        details { padding: .7rem 1.4rem; margin-bottom: .6rem; } summary { cursor: pointer; } summary span { color: var(--soft); font-size: .85rem; }
        .figures { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; } .figures b { display: block; font-size: 1.5rem; font-weight: 600; } .figures span { color: var(--soft); font-size: .85rem; }
        .key p { margin: 0; color: var(--soft); font-size: .9rem; } .key b { color: var(--ink); }
        .maps { display: flex; flex-wrap: wrap; gap: 1rem 2rem; margin: .8rem 0 .4rem; } figure { margin: 0; flex: 0 1 20rem; min-width: 0; } figcaption { font-size: .85rem; color: var(--soft); }
        canvas { display: block; max-width: 100%; image-rendering: pixelated; border: 1px solid var(--line); }
        .bar { display: inline-block; width: 6rem; height: .7em; margin: 0 .3em; vertical-align: baseline; }
        .scale { font-size: .8rem; color: var(--soft); font-variant-numeric: tabular-nums; }
        #tip { position: fixed; pointer-events: none; background: var(--ink); color: var(--card); padding: .2rem .5rem; border-radius: 6px; font-size: .8rem; white-space: pre; z-index: 1; }
        table { border-collapse: collapse; width: 100%; } th, td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
        th:first-child, td:first-child { text-align: left; } th { color: var(--soft); font-weight: 500; }
        """;

    /// <summary>Draws a matrix when it is unfolded: a pixel a tile, scaled up; shows the numbers of the tile under the pointer.</summary>
    public const string Script = """
        'use strict';
        const stops = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
        const color = x => {
          const place = Math.min(1, Math.max(0, x)) * (stops.length - 1), left = Math.min(stops.length - 2, Math.floor(place)), part = place - left;
          return stops[left].map((c, i) => Math.round(c + (stops[left + 1][i] - c) * part));
        };
        for (const bar of document.querySelectorAll('.bar')) bar.style.background = `linear-gradient(90deg, ${stops.map(s => `rgb(${s})`).join(', ')})`;
        const read = canvas => canvas.values ??= canvas.dataset.values.split(' ').map(Number);
        const show = (value, unit) => String(Number(value.toPrecision(4))) + (unit && ' ' + unit);
        const draw = canvas => {
          if (canvas.drawn) return;
          canvas.drawn = true;
          const rows = +canvas.dataset.rows, columns = +canvas.dataset.columns, values = read(canvas), unit = canvas.dataset.unit;
          let low = Infinity, high = -Infinity;
          for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
          canvas.width = columns;
          canvas.height = rows;
          const context = canvas.getContext('2d'), image = context.createImageData(columns, rows);
          values.forEach((value, t) => image.data.set([...color(high > low ? (value - low) / (high - low) : .5), 255], 4 * t));
          context.putImageData(image, 0, 0);
          canvas.style.width = columns * Math.max(1, Math.min(24, Math.floor(320 / columns), Math.floor(640 / rows))) + 'px';
          canvas.nextElementSibling.textContent = `${show(low, unit)} to ${show(high, unit)}`;
        };
        const tip = document.getElementById('tip');
        for (const details of document.querySelectorAll('details')) {
          const canvases = [...details.querySelectorAll('canvas')], open = () => details.open && canvases.forEach(draw);
          details.addEventListener('toggle', open);
          open();
          for (const canvas of canvases) {
            canvas.addEventListener('mouseleave', () => { tip.hidden = true; });
            canvas.addEventListener('mousemove', event => {
              const box = canvas.getBoundingClientRect(), rows = +canvas.dataset.rows, columns = +canvas.dataset.columns;
              const row = Math.floor((event.clientY - box.top) / box.height * rows), column = Math.floor((event.clientX - box.left) / box.width * columns);
              tip.hidden = row < 0 || column < 0 || row >= rows || column >= columns;
              if (tip.hidden) return;
              tip.textContent = `tile ${row}, ${column}\n` + canvases.map(c => `${c.dataset.name} ${show(read(c)[row * columns + column], c.dataset.unit)}`).join('\n');
              tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 4) + 'px';
              tip.style.top = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 4) + 'px';
            });
          }
        }
        """;
}
