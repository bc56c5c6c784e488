using System.Collections.Concurrent;
using System.Diagnostics.Metrics;

namespace RbeMl.Extensions.AI.Tests.Support;

/// <summary>What the meter of inference says of one model while this lives; tests beside it have models of other names.</summary>
internal sealed class Measurements : IDisposable
{
    private readonly MeterListener _listener = new();
    private readonly ConcurrentQueue<Measurement> _found = [];
    private readonly string _model;

    public Measurements(string model)
    {
        _model = model;
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            bool ours = instrument.Meter.Name == "RbeMl" && instrument.Name.StartsWith("gen_ai.", StringComparison.Ordinal);
            if (ours) listener.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Keep(instrument, value, tags));
        _listener.SetMeasurementEventCallback<int>((instrument, value, tags, _) => Keep(instrument, value, tags));
        _listener.Start();
    }

    public IReadOnlyList<Measurement> Of(string instrument) => [.. _found.Where(measurement => measurement.Instrument.Name == instrument)];

    public void Dispose() => _listener.Dispose();

    private void Keep(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        Dictionary<string, object?> all = tags.ToArray().ToDictionary(tag => tag.Key, tag => tag.Value);
        if (Equals(all.GetValueOrDefault("gen_ai.request.model"), _model)) _found.Enqueue(new Measurement(instrument, value, all));
    }

    internal sealed record Measurement(Instrument Instrument, double Value, IReadOnlyDictionary<string, object?> Tags);
}
