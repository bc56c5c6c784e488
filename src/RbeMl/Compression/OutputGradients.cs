using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Numerics;

namespace RbeMl.Compression;

/// <summary>
/// The gradient of every dense block's output on calibration windows, of what a model is asked for: of a language model's log-probability of a token that is
/// drawn from what it predicts, of an encoder's vector in a random direction. The second moments of such gradients say what errors cost: to second order, the
/// divergence of the predictions and the squared error of the vector. Holds a gradient a token and layer, and one dense block at a time.
/// </summary>
internal sealed unsafe class OutputGradients
{
    private const int TokensPerPass = 2048;
    private const long LogitsPerPass = 8 << 20;

    /// <summary>Stream of the generator for the first token or sequence; those that follow have the next ones.</summary>
    public const ulong Stream = 78;

    private readonly IModelFolder _source;
    private readonly Workspace<float> _workspace;
    private readonly ulong _seed;
    private readonly CancellationToken _cancel;
    private readonly BlockActivationData[] _gradients;

    private OutputGradients(IModelFolder source, BlockActivationData input, Workspace<float> workspace, ulong seed, CancellationToken cancel)
    {
        (_source, _workspace, _seed, _cancel) = (source, workspace, seed, cancel);
        _gradients = new BlockActivationData[source.Config.Layers];
        for (int layer = 0; layer < _gradients.Length; layer++)
        {
            _gradients[layer] = input;
            if (layer + 1 == _gradients.Length) break;
            input = BlockExample.Run(source.ReadBlock(layer), source.Config.OfBlock(layer), input, workspace, cancel).Expected;
        }
    }

    /// <summary>Computes them.</summary>
    /// <param name="source">The model.</param>
    /// <param name="input">What enters the first block.</param>
    /// <param name="workspace">Threads and scratch.</param>
    /// <param name="seed">Seed of tokens and directions.</param>
    /// <param name="cancel">Ends the work.</param>
    /// <returns>One a layer, [B, T, D].</returns>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static IReadOnlyList<BlockActivationData> Of(IModelFolder source, BlockActivationData input, Workspace<float> workspace, ulong seed,
        CancellationToken cancel)
    {
        // Each place holds the block's input until its gradient is there.
        OutputGradients run = new(source, input, workspace, seed, cancel);
        int last = run._gradients.Length - 1;
        DenseBlockWeights dense = source.ReadBlock(last);
        BlockActivationData gradient = run.OfLast(dense);
        for (int layer = last; layer >= 0; layer--)
        {
            BlockActivationData x = run._gradients[layer];
            run._gradients[layer] = gradient;
            if (layer == 0) break;
            if (layer < last) dense = source.ReadBlock(layer);
            float[] below = new float[gradient.Values.Length];
            BlockRunner.RunBack(BlockWeights.Compress(dense, source.Config, RbeOptions.Dense), source.Config.OfBlock(layer), x, gradient, workspace,
                output: null, below, observe: null, cancel);
            gradient = x.With(below);
        }

        return run._gradients;
    }

    // Through the last block, the final LayerNorm and what is read from it, and back to the block's output.
    private BlockActivationData OfLast(DenseBlockWeights dense)
    {
        TransformerConfig config = _source.Config;
        BlockActivationData x = _gradients[^1];
        bool encoder = _source.Encoder is not null;
        (float[] gamma, float[] beta) = _source.ReadFinalNorm();
        TransformerConfig own = config.OfBlock(config.Layers - 1) with { Layers = 1, TiedHead = true, Vocabulary = encoder ? 1 : config.Vocabulary };
        using TransformerModel<float> model = new(new TransformerWeights
        {
            Config = own,
            TokenEmbedding = encoder ? new float[config.Width] : config.TiedHead ? _source.ReadTokenEmbedding() : _source.ReadHead()!,
            PositionEmbedding = new float[config.MaxSequenceLength * config.Width],
            Blocks = [BlockWeights.Compress(dense, config, RbeOptions.Dense)],
            FinalGamma = gamma,
            FinalBeta = beta,
        });
        using TransformerContext<float> context = new(model, _workspace);
        using ParameterVector<float> unused = model.Parameters.CreateLike(_ => false);
        using Panel<float> input = new(), hidden = new();
        float[] values = new float[x.Values.Length];
        long room = encoder ? TokensPerPass : Math.Min(TokensPerPass, LogitsPerPass / config.Vocabulary);
        int sequences = (int)Math.Max(1, room / x.Length);
        for (int first = 0; first < x.Batch; first += sequences)
        {
            _cancel.ThrowIfCancellationRequested();
            int count = Math.Min(sequences, x.Batch - first), tokens = count * x.Length;
            input.Reshape(tokens, config.Width, model.PaddedWidth).FromRowMajor(x.Sequences(first, count));
            model.Blocks[0].Forward(input, hidden.Reshape(tokens, config.Width, model.PaddedWidth), count, x.Length, null, context.Blocks[0], _workspace);
            if (encoder) OfVectors(model, hidden, first, count, x.Length, context, unused);
            else OfPredictions(model, hidden, (long)first * x.Length, context, unused);
            context.GradientA.ToRowMajor(values.AsSpan(first * x.Length * x.Width, tokens * x.Width));
        }

        return x.With(values);
    }

    private void OfPredictions(TransformerModel<float> model, Panel<float> hidden, long first, TransformerContext<float> context,
        ParameterVector<float> unused)
    {
        int vocabulary = model.Config.Vocabulary;
        float[] logits = new float[checked(hidden.Tokens * vocabulary)];
        model.Head.Logits(hidden, _workspace, logits);
        int[] drawn = new int[hidden.Tokens];
        for (int t = 0; t < drawn.Length; t++)
        {
            drawn[t] = Draw(logits.AsSpan(t * vocabulary, vocabulary), new DeterministicRandom(_seed, Stream + (ulong)(first + t)));
        }

        model.Head.Loss(hidden, drawn, context, unused, 1, 0);
    }

    /// <summary>A token drawn from what logits predict.</summary>
    internal static int Draw(ReadOnlySpan<float> logits, DeterministicRandom random)
    {
        float largest = float.NegativeInfinity;
        foreach (float logit in logits) largest = Math.Max(largest, logit);
        double sum = 0;
        foreach (float logit in logits) sum += Math.Exp(logit - largest);
        double left = random.NextUnit() * sum;
        for (int i = 0; i < logits.Length; i++)
        {
            left -= Math.Exp(logits[i] - largest);
            if (left <= 0) return i;
        }

        return logits.Length - 1;
    }

    private void OfVectors(TransformerModel<float> model, Panel<float> hidden, int first, int count, int length, TransformerContext<float> context,
        ParameterVector<float> unused)
    {
        EncoderSettings settings = _source.Encoder!;
        using GrowableBuffer<float> pooled = new(), gradient = new();
        using GrowableBuffer<int> places = new();
        using GrowableBuffer<double> losses = new();
        PooledRows<float> rows = new(pooled, gradient, places, losses);
        rows.Ensure(count, model.Config.Width);
        int[] lengths = new int[count];
        Array.Fill(lengths, length);
        fixed (int* own = lengths)
        {
            PooledObjective<float, Probe> objective = new(model.Head, own, length, settings.Pooling, rows, unused,
                new Probe(model.Config.Width, settings.Normalize, _seed, first));
            objective.LossAndGradient(hidden, 0, count, context, 0);
        }
    }

    /// <summary>A random direction for each row; the gradient of the row's vector along it.</summary>
    private readonly struct Probe(int width, bool normalize, ulong seed, int first) : IPooledObjective<float>
    {
        public double Row(int row, float* pooled, float* gradient)
        {
            DeterministicRandom random = new(seed, Stream + (ulong)(first + row));
            double square = 0, along = 0;
            for (int f = 0; f < width; f++)
            {
                gradient[f] = (float)random.NextNormal();
                square += (double)pooled[f] * pooled[f];
                along += (double)pooled[f] * gradient[f];
            }

            if (!normalize || square == 0) return 0;
            double inverse = 1 / Math.Sqrt(square);
            for (int f = 0; f < width; f++) gradient[f] = (float)((gradient[f] - (along / square * pooled[f])) * inverse);
            return 0;
        }

        public void Close(int first, int count, WorkerPool workers)
        {
        }
    }
}
