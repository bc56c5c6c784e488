using System.Diagnostics;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;

namespace RbeMl.Compression;

/// <summary>What a compression would give and take, as a few tiles of its matrices say; nothing is written.</summary>
/// <param name="Matrices">Matrices that would be compressed.</param>
/// <param name="BitsPerWeight">Bits for each weight of the matrices, of those that are left out too, and of compressed embeddings.</param>
/// <param name="RelativeError">Relative error of their weights, without a calibration; null where formats are chosen by the error of a model's
/// outputs, which a few tiles do not know.</param>
/// <param name="Bytes">Bytes of the file.</param>
/// <param name="Seconds">Time, reading and tuning included; that of a calibration's passes comes on top.</param>
/// <param name="PeakBytes">Most memory of the process.</param>
internal sealed record CompressionForecast(int Matrices, double BitsPerWeight, double? RelativeError, long Bytes, double Seconds, long PeakBytes)
{
    private const int MomentBytes = 8 + 4 + 4; // of a calibration, for each pair of features: the sums in double, a factor, and its groups

    /// <summary>The part of <see cref="Seconds"/> that tuning takes; null without.</summary>
    public double? TuningSeconds { get; init; }

    /// <summary>Of a model: the tiles are of its middle block, and of the embedding where that is compressed.</summary>
    /// <param name="source">The model.</param>
    /// <param name="request">How it is to be compressed.</param>
    /// <param name="calibrationTokens">Tokens of the calibration; 0 without.</param>
    /// <param name="cancel">Ends the work.</param>
    /// <exception cref="InvalidSettingException">An option is out of range, or no matrix is left to compress.</exception>
    /// <exception cref="UnreachableTargetException">No choice of formats meets the target.</exception>
    /// <exception cref="RbeFileException">A file cannot be read.</exception>
    public static CompressionForecast Of(IModelFolder source, CompressionRequest request, int calibrationTokens, CancellationToken cancel)
    {
        TransformerConfig config = source.Config;
        ParallelOptions parallel = ModelCompressor.ParallelFor(request, cancel);
        long started = Stopwatch.GetTimestamp();
        DenseBlockWeights block = source.ReadBlock(config.Layers / 2);
        double read = Stopwatch.GetElapsedTime(started).TotalSeconds;
        List<Measured> all = [];
        long kept = 0, blockValues = block.Vectors.Named.Sum(v => (long)v.Values.Length);
        double keptEnergy = 0;
        foreach (BlockMatrix m in PerMatrix.All)
        {
            (int rows, int columns) = PerMatrix.ShapeOf(config, m);
            int chosen = Enumerable.Range(0, config.Layers).Count(layer => request.Names.Selects(ModelCompressor.NameOf(layer, m)));
            kept += (long)rows * columns * (config.Layers - chosen);
            keptEnergy += MatrixOutcome.EnergyOf(block.MatrixAt(m)) * (config.Layers - chosen);
            blockValues += (long)rows * columns;
            if (chosen > 0) all.Add(Measured.Of(block.MatrixAt(m), rows, columns, chosen, request, parallel));
        }

        if (all.Count == 0)
        {
            throw new InvalidSettingException("matrices", source.Path, "no matrix is left to compress. Include some that are not excluded.");
        }

        Sums sums = Chosen(all, request) + new Sums(32.0 * kept, 0, keptEnergy, kept, 0);
        long table = (long)config.Vocabulary * config.Width, tables = table * (config.TiedHead ? 1 : 2);
        double denseTables = 4.0 * tables;
        if (request.Embeddings is { } format)
        {
            CompressionRequest plain = request with { Options = format, Target = null };
            sums += Chosen([Measured.Of(source.ReadTokenEmbedding(), config.Vocabulary, config.Width, config.TiedHead ? 1 : 2, plain, parallel)], plain);
            denseTables = 0;
        }

        long matrices = blockValues * config.Layers, others = source.ValueCount - matrices - tables;
        long vectors = (blockValues - PerMatrix.All.Sum(m => Count(config, m))) * config.Layers;
        double bytes = (sums.Bits / 8) + denseTables + (4.0 * (vectors + Math.Max(0, others)));
        double working = (4.0 * blockValues) + (request.Embeddings is null ? 0 : 4.0 * table);
        if (calibrationTokens > 0 || request.Target is not null)
        {
            int tokens = Math.Max(calibrationTokens, config.MaxSequenceLength);
            double widths = (2.0 * config.Width * config.Width) + ((double)config.HiddenWidth * config.HiddenWidth);
            working += (MomentBytes * widths) + (4.0 * tokens * ((4 * config.Width) + config.HiddenWidth));

            // Of what outputs are worth: their moments, a gradient a token and layer, one block's gradients, and the head with its own.
            if (calibrationTokens > 0 && request.WeighOutputs)
            {
                working += (MomentBytes * (widths + (2.0 * config.Width * config.Width))) + (4.0 * tokens * config.Width * config.Layers);
                working += (4.0 * blockValues) + (source.Encoder is null ? 8.0 * table : 0);
            }

            // Of tuning: copies of the model, what the dense one gives, and the activations of a step.
            if (calibrationTokens > 0 && request.Tuning is not null)
            {
                double step = Math.Max(ModelTuner.TokensPerStep, config.MaxSequenceLength);
                working += (4.0 * ModelTuner.Copies * source.ValueCount) + (4.0 * tokens * config.Width);
                working += 4.0 * step * config.Layers * ((8.0 * config.Width) + (2.0 * config.HiddenWidth));
            }

            // What a rounded matrix does to the vectors: activations for each of them, all kept until the last block.
            if (request.Target is not null && source.Encoder is not null)
            {
                working += 4.0 * PerMatrix.All.Count * config.Layers * EmbeddingYardstick.Sequences * CalibrationWindows.SentenceTokens * config.Width;
            }
        }

        double? tuning = calibrationTokens > 0 && request.Tuning is not null ? TuningForecast.Seconds(source, block, request, calibrationTokens) : null;
        return new CompressionForecast(all.Sum(m => m.Times), sums.BitsPerWeight, request.Target is null ? sums.Error : null, (long)bytes,
            sums.Seconds + (read * config.Layers) + (tuning ?? 0), Environment.WorkingSet + (long)(bytes + working))
        {
            TuningSeconds = tuning,
        };
    }

    /// <summary>Of a file of tensors.</summary>
    /// <inheritdoc cref="Of(IModelFolder, CompressionRequest, int, CancellationToken)"/>
    public static CompressionForecast Of(SafetensorsSet source, CompressionRequest request, CancellationToken cancel)
    {
        ParallelOptions parallel = ModelCompressor.ParallelFor(request, cancel);
        SafetensorsTensor[] chosen = MatrixSetCompressor.Chosen(source, request);
        List<Measured> all = [];
        long started = Stopwatch.GetTimestamp();
        double measuring = 0;
        foreach (SafetensorsTensor tensor in chosen)
        {
            cancel.ThrowIfCancellationRequested();
            Measured measured = Measured.Of(TensorReading.Values(source, tensor.Name), (int)tensor.Shape[0], (int)tensor.Shape[1], 1, request, parallel);
            measuring += measured.Seconds;
            all.Add(measured);
        }

        Sums sums = Chosen(all, request);
        double read = Stopwatch.GetElapsedTime(started).TotalSeconds - measuring;
        HashSet<string> names = [.. chosen.Select(t => t.Name)];
        double bytes = (sums.Bits / 8) + source.Tensors.Where(t => !names.Contains(t.Name)).Sum(t => t.ByteLength);
        return new CompressionForecast(all.Count, sums.BitsPerWeight, sums.Error, (long)bytes, sums.Seconds + read,
            Environment.WorkingSet + (long)((sums.Bits / 8) + (4.0 * chosen.Max(t => t.Count))));
    }

    // A choice is made as for weights that matter alike.
    private static Sums Chosen(List<Measured> all, CompressionRequest request)
    {
        int[] places = new int[all.Count];
        if (request.Target is { } target)
        {
            RateCurve[] curves = [.. all.Select(m => m.Curve)];
            double energy = all.Sum(m => m.Energy);
            double[] weights = [.. all.Select(m => energy > 0 ? Math.Sqrt(m.Energy / energy) : 1)]; // errors are relative, as the target's
            RateAllocation allocation = target.Error is { } error
                ? RateAllocator.MinimizeBits(curves, weights, error)
                : RateAllocator.MinimizeError(curves, weights, target.BitsPerWeight!.Value * curves.Sum(c => (double)c.Weights));
            places = [.. allocation.Choices];
        }

        RatePoint[] points = [.. all.Select((m, i) => m.Curve.Points[places[i]])];
        double bits = all.Zip(points).Sum(p => p.First.Times * p.Second.Bits);
        double lost = all.Zip(points).Sum(p => p.First.Times * p.First.Energy * p.Second.Error * p.Second.Error);
        double seconds = all.Sum(m => m.Times * m.Seconds * (request.Target is null ? m.Share : 1 + (m.Share / m.Curve.Points.Count)));
        return new Sums(bits, lost, all.Sum(m => m.Times * m.Energy), all.Sum(m => (double)m.Times * m.Curve.Weights), seconds);
    }

    private static long Count(TransformerConfig config, BlockMatrix m)
    {
        (int rows, int columns) = PerMatrix.ShapeOf(config, m);
        return (long)rows * columns;
    }

    // Of matrices: bits, ‖W − Ŵ‖², ‖W‖², weights, seconds.
    private readonly record struct Sums(double Bits, double Lost, double Energy, double Weights, double Seconds)
    {
        public double BitsPerWeight => Bits / Weights;

        public double Error => Energy > 0 ? Math.Sqrt(Lost / Energy) : 0;

        public static Sums operator +(Sums a, Sums b) =>
            new(a.Bits + b.Bits, a.Lost + b.Lost, a.Energy + b.Energy, a.Weights + b.Weights, a.Seconds + b.Seconds);
    }

    // A matrix that occurs so many times, its curve, ‖W‖², how long the curve took, and how many times its tiles the matrix has.
    private sealed record Measured(int Times, RateCurve Curve, double Energy, double Seconds, double Share)
    {
        public static Measured Of(float[] weights, int rows, int columns, int times, CompressionRequest request, ParallelOptions parallel)
        {
            RbeOptions options = request.Options;
            IReadOnlyList<RbeOptions> candidates = request.Target is null ? [options] : ChoiceSettings.CandidatesFor(options.Tile, options.Transform);
            int tile = options.Tile;
            long all = (((long)rows + tile - 1) / tile) * ((columns + tile - 1) / tile);
            RateCurve.Measure(weights, rows, columns, candidates, request.Seed, 1, parallel); // code that has run once is as fast as it gets
            long started = Stopwatch.GetTimestamp();
            RateCurve curve = RateCurve.Measure(weights, rows, columns, candidates, request.Seed, RateCurve.DefaultTiles, parallel);
            double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
            return new Measured(times, curve, MatrixOutcome.EnergyOf(weights), seconds, Math.Max(1, (double)all / RateCurve.DefaultTiles));
        }
    }
}
