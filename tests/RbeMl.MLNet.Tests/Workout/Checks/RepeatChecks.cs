using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>The same question gets the same answer: after another fit, from many threads, after an engine was disposed.</summary>
internal static class RepeatChecks
{
    /// <summary>Fitting twice gives the same bits.</summary>
    public static void SameSeed(WorkoutContext c) => c.ExpectRows(ViewSnapshot.Of(c.Second.Transform(c.Valid)).Rows, "fitted a second time");

    /// <summary>Threads with a mapped row each, some with a mapper of their own, each from another row on, all give the serial values.</summary>
    public static void Threads(WorkoutContext c)
    {
        IRowToRowMapper shared = c.Mapper();
        ViewSnapshot input = c.Input, serial = c.Serial;
        var failures = new Exception?[c.Options.Threads];
        int[] compared = new int[c.Options.Threads];
        using var start = new Barrier(c.Options.Threads);
        Thread[] threads = [.. Enumerable.Range(0, c.Options.Threads).Select(t => new Thread(() => failures[t] = Record.Exception(() => Predict(t))))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        for (int t = 0; t < threads.Length; t++) c.Expect(failures[t] is null, $"thread {t}: {failures[t]?.Message}");
        c.Comparisons += compared.Sum();

        void Predict(int thread)
        {
            start.SignalAndWait();
            IRowToRowMapper mapper = thread % 2 == 0 ? shared : c.Mapper();
            var held = new HeldRow(input, c.Valid.Schema);
            using DataViewRow row = mapper.GetRow(held, mapper.OutputSchema);
            DataViewSchema.Column[] asked = c.Added(mapper.OutputSchema);
            Probe[] probes = [.. asked.Select(s => Probe.Of(row, s))];
            for (int i = 0; i < 2 * serial.Rows.Count; i++)
            {
                int r = (i + thread) % serial.Rows.Count;
                held.Set(r);
                for (int k = 0; k < asked.Length; k++)
                {
                    Cell expected = serial[r, asked[k]], actual = probes[k].Read(Litter.LastCall);
                    if (!expected.Equals(actual))
                        throw new CheckFailedException($"column '{asked[k].Name}', row {r}: expected {expected}, got {actual}");
                    compared[thread]++;
                }
            }
        }
    }

    /// <summary>A transformer and a row disposed as a prediction engine does it still transform, and give new rows.</summary>
    public static void Disposed(WorkoutContext c)
    {
        ITransformer transformer = c.Second;
        IReadOnlyList<RowSnapshot> before = ViewSnapshot.Of(transformer.Transform(c.Valid)).Rows;
        if (transformer.IsRowToRowMapper) PredictOne(transformer, before[0]);
        (transformer as IDisposable)?.Dispose();
        IReadOnlyList<RowSnapshot> after = ViewSnapshot.Of(transformer.Transform(c.Valid)).Rows;
        for (int r = 0; r < before.Count; r++) ExpectSame(before[r], after[r], $"row {r}, after Dispose");
        if (transformer.IsRowToRowMapper) PredictOne(transformer, before[0]);

        void PredictOne(ITransformer fitted, RowSnapshot expected)
        {
            IRowToRowMapper mapper = c.Mapper(fitted);
            var held = new HeldRow(c.Input, c.Valid.Schema);
            using DataViewRow row = mapper.GetRow(held, mapper.OutputSchema);
            held.Set(0);
            ExpectSame(expected, RowSnapshot.Of(row), "mapped row 0");
        }

        void ExpectSame(RowSnapshot expected, RowSnapshot actual, string how)
        {
            for (int i = 0; i < expected.Cells.Length; i++)
                c.ExpectSame(expected.Cells[i]!, actual.Cells[i]!, how, c.Serial.Schema[i].Name);
        }
    }
}
