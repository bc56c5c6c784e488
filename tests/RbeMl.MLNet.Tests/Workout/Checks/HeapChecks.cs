using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.Memory;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>Predictions leave nothing behind.</summary>
internal static class HeapChecks
{
    // The smallest managed object takes 24 bytes: one kept for each prediction shows. The rest of the process allocates at the same time (a pool
    // takes a buffer, a method is compiled), but that doesn't grow with the predictions: each attempt makes twice as many as the one before.
    private const int BytesAPrediction = 16;
    private const int Attempts = 6;

    /// <summary>One row that predicts many times, and many rows that predict once, don't grow the managed heap nor the native buffers.</summary>
    public static void Steady(WorkoutContext c)
    {
        IRowToRowMapper mapper = c.Mapper();
        DataViewSchema.Column[] asked = c.Added(mapper.OutputSchema);
        var held = new HeldRow(c.Input, c.Valid.Schema);
        using DataViewRow row = mapper.GetRow(held, asked);
        Probe[] probes = [.. asked.Select(s => Probe.Of(row, s))];
        Measure("one row", c.Options.Predictions, i => Predict(held, probes, i));
        Measure("new rows", c.Options.Predictions / 4, i =>
        {
            var input = new HeldRow(c.Input, c.Valid.Schema);
            using DataViewRow fresh = mapper.GetRow(input, asked);
            Predict(input, [.. asked.Select(s => Probe.Of(fresh, s))], i);
        });

        void Predict(HeldRow input, Probe[] outputs, int i)
        {
            input.Set(i % c.Input.Rows.Count);
            foreach (Probe probe in outputs) probe.Read(Litter.LastCall);
        }

        void Measure(string what, int predictions, Action<int> predict)
        {
            (long managed, long native) = (0, 0);
            for (int attempt = 0; attempt < Attempts; attempt++)
            {
                if (attempt > 0) predictions *= 2;
                (managed, native) = Growth(predictions, predict);
                if (managed <= (long)BytesAPrediction * predictions && native <= 0) break;
            }

            c.Expect(managed <= (long)BytesAPrediction * predictions, $"{what}: {predictions} predictions left {managed} bytes on the managed heap");
            c.Expect(native <= 0, $"{what}: {predictions} predictions left {native} native bytes");
        }
    }

    private static (long Managed, long Native) Growth(int predictions, Action<int> predict)
    {
        for (int i = 0; i < predictions / 4; i++) predict(i);
        long managed = GC.GetTotalMemory(forceFullCollection: true), native = MemoryCounter.Process.Bytes;
        for (int i = 0; i < predictions; i++) predict(i);
        managed = GC.GetTotalMemory(forceFullCollection: true) - managed;
        GC.WaitForPendingFinalizers();
        return (managed, MemoryCounter.Process.Bytes - native);
    }
}
