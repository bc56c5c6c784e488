using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Training;

/// <summary>
/// Exponential moving average of weights (EMA), which follows them step by step: noise of the last steps averages out, and the loss is lower
/// than that of the last weights. Its horizon is a tenth of the steps so far until that is the one asked for, so that a short run does
/// not remember its beginning.
/// </summary>
internal sealed unsafe class WeightAverage : ITrainingPart, IDisposable
{
    private const int Piece = 1 << 16, Share = 10;
    private const string Key = "values";
    private readonly ParameterVector<float> _weights, _average;
    private readonly (ParameterSlice Slice, int First, int Length)[] _pieces;
    private readonly int _horizon;
    private readonly Action? _changed;

    /// <summary>Begins at the weights.</summary>
    /// <param name="weights">What is averaged.</param>
    /// <param name="horizon">Steps that the average looks back on, at least 1.</param>
    /// <param name="trained">Whether a slice is trained: others stay as they are, and need no average. Null for all.</param>
    /// <param name="changed">Called when the weights were set to the average or back: what follows from them is made anew.</param>
    public WeightAverage(ParameterVector<float> weights, int horizon, Func<ParameterSlice, bool>? trained, Action? changed = null)
    {
        (_weights, _average, _horizon, _changed) = (weights, weights.CreateLike(trained), horizon, changed);
        _pieces = [.. _average.Slices.SelectMany(slice => Enumerable.Range(0, (slice.Length + Piece - 1) / Piece)
            .Select(piece => (slice, piece * Piece, Math.Min(Piece, slice.Length - (piece * Piece)))))];
        _average.CopyFrom(weights);
    }

    /// <summary>How far the average moves to the weights after a step: all the way after the first.</summary>
    /// <param name="step">The step, from 1.</param>
    /// <param name="horizon">Steps that the average looks back on.</param>
    public static double RateOf(int step, int horizon) => Math.Max(1.0 / horizon, Share / (step + Share - 1.0));

    /// <summary>Follows the weights after a step.</summary>
    /// <param name="step">The step, from 1.</param>
    /// <param name="workers">Threads.</param>
    /// <param name="steps">Steps since it followed them last: it moves as far as it would have in as many.</param>
    public void Add(int step, WorkerPool workers, int steps = 1)
    {
        double left = 1;
        for (int each = step - steps + 1; each < step; each++) left *= 1 - RateOf(each, _horizon);
        using Hold from = _weights.Lease.Share(), to = _average.Lease.Share();
        Work work = new(this, (float)(steps == 1 ? RateOf(step, _horizon) : 1 - (left * (1 - RateOf(step, _horizon)))));
        workers.For(_pieces.Length, ref work);
    }

    /// <summary>Sets the weights to the average.</summary>
    public void Apply()
    {
        _weights.CopyFrom(_average);
        _changed?.Invoke();
    }

    /// <summary>Begins again at the weights.</summary>
    public void Restart() => _average.CopyFrom(_weights);

    /// <summary>Exchanges weights and average.</summary>
    public void Exchange()
    {
        _weights.Exchange(_average);
        _changed?.Invoke();
    }

    /// <inheritdoc/>
    public void Save(StateWriter state) => state.Add(Key, _average);

    /// <inheritdoc/>
    public void Load(StateReader state) => state.Read(Key, _average);

    /// <inheritdoc/>
    public void Dispose() => _average.Dispose();

    private readonly struct Work(WeightAverage own, float rate) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            (ParameterSlice slice, int first, int length) = own._pieces[item];
            AverageKernel.Average(own._weights.At(slice) + first, own._average.At(slice) + first, length, rate);
        }
    }
}

/// <summary>A stay in which weights are their averages; at its end they are what they were.</summary>
internal readonly struct AveragedWeights : IDisposable
{
    private readonly WeightAverage? _first, _second;

    /// <summary>Begins it.</summary>
    /// <param name="first">An average; null for none.</param>
    /// <param name="second">Another.</param>
    public AveragedWeights(WeightAverage? first, WeightAverage? second = null)
    {
        (_first, _second) = (first, second);
        Exchange();
    }

    /// <inheritdoc/>
    public void Dispose() => Exchange();

    private void Exchange()
    {
        _first?.Exchange();
        _second?.Exchange();
    }
}
