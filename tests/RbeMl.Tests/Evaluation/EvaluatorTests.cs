using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Tests.Evaluation;

public class EvaluatorTests
{
    private static readonly TransformerConfig s_config = new() { Width = 32, Heads = 2, Layers = 2, Vocabulary = 45, MaxSequenceLength = 12 };

    // Coefficients large enough for logits that differ between ids and between models.
    private static TransformerModel<float> Model(ulong seed, TransformerConfig? config = null)
    {
        TransformerModel<float> model =
            TransformerModel<float>.Create(config ?? s_config, new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(128, SupportRule.Runs(8)) }, seed);
        foreach (ParameterSlice slice in model.Parameters.Slices.Where(s => s.Kind is ParameterKind.Embedding or ParameterKind.Coefficient))
        {
            foreach (ref float value in model.Parameters.Of(slice)) value *= 15;
        }

        return model;
    }

    private static int[] Ids(int count, int seed, int vocabulary = 45)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(vocabulary))];
    }

    // Windows, one at a time, from Logits and the plain double formulas.
    private static EvaluationResult Naive(TransformerModel<float> model, TransformerModel<float> reference, IEnumerable<int[]> sequences,
        int context, int stride)
    {
        using Workspace<float> workspace = new(1);
        double loss = 0, divergence = 0;
        int tokens = 0, correct = 0, agreed = 0;
        foreach (int[] sequence in sequences)
        {
            for (int start = 0, next = 1; next < sequence.Length; start += stride)
            {
                int end = Math.Min(start + context, sequence.Length - 1), length = end - start;
                float[] q = model.Logits(sequence.AsSpan(start, length), 1, length, workspace),
                    p = reference.Logits(sequence.AsSpan(start, length), 1, length, workspace);
                for (; next <= end; next++)
                {
                    ReadOnlySpan<float> row = q.AsSpan((next - 1 - start) * 45, 45), expected = p.AsSpan((next - 1 - start) * 45, 45);
                    (double logSum, int best) = ReferencePrediction.Normalize(row);
                    loss += logSum - row[sequence[next]];
                    divergence += ReferencePrediction.Divergence(expected, row);
                    correct += best == sequence[next] ? 1 : 0;
                    agreed += best == ReferencePrediction.Normalize(expected).Best ? 1 : 0;
                    tokens++;
                }
            }
        }

        return new EvaluationResult
        {
            Tokens = tokens,
            Nll = loss / tokens,
            Top1Accuracy = (double)correct / tokens,
            Kl = divergence / tokens,
            Top1Agreement = (double)agreed / tokens
        };
    }

    [Theory]
    [InlineData(0, 0, 0)]
    [InlineData(12, 12, 3)]
    [InlineData(12, 5, 4)]
    [InlineData(7, 1, 100)]
    [InlineData(1, 1, 5)]
    public void Figures_are_those_of_the_plain_formulas(int context, int stride, int batch)
    {
        using TransformerModel<float> model = Model(1), reference = Model(2);
        int[][] sequences = [Ids(2, 1), Ids(13, 2), Ids(40, 3), Ids(5, 4), Ids(26, 5)];
        using Evaluator evaluator = new(model, reference, new EvaluationOptions { Context = context, Stride = stride, BatchSize = batch }, 2);
        EvaluationResult actual = evaluator.Evaluate(EvaluationData.FromSequences(sequences));
        EvaluationResult expected = Naive(model, reference, sequences, context == 0 ? 12 : context, stride == 0 ? 12 : stride);
        Assert.Equal(expected.Tokens, actual.Tokens);
        Assert.Equal(81, actual.Tokens);

        // Only the chunks' width differs, so logits of size 10 agree to some rounding errors of fp32: 10 * 6e-8 * a few.
        Assert.Equal(expected.Nll, actual.Nll, 1e-5);
        Assert.Equal(expected.Kl!.Value, actual.Kl!.Value, 1e-5);
        Assert.True(expected.Kl > 0.1, "the models are too alike to tell anything");
        Assert.Equal(expected.Top1Agreement, actual.Top1Agreement);
        Assert.Equal(expected.Top1Accuracy, actual.Top1Accuracy);
        Assert.Equal(Math.Exp(actual.Nll), actual.Perplexity);
        Assert.Null(actual.BitsPerByte);
    }

    [Fact]
    public void A_model_agrees_with_itself()
    {
        using TransformerModel<float> model = Model(1);
        using Evaluator evaluator = new(model, model, null, 2);
        EvaluationResult result = evaluator.Evaluate(EvaluationData.FromSequences([Ids(500, 7)]));
        Assert.Equal((499, 0.0, 1.0), (result.Tokens, result.Kl, result.Top1Agreement));
    }

    [Fact]
    public void Bits_per_byte_of_bytes_are_bits_per_token()
    {
        using TransformerModel<float> model = Model(1, s_config with { Vocabulary = 256 });
        using Evaluator evaluator = new(model);
        EvaluationResult bytes = evaluator.Evaluate(EvaluationData.FromText("Grüße aus Köln, 2 × 3 = 6.", new ByteTokenizer()));
        Assert.Equal(bytes.Tokens, bytes.Bytes);
        Assert.Equal(bytes.Nll / Math.Log(2), bytes.BitsPerByte!.Value, 12);

        CharacterTokenizer characters = CharacterTokenizer.FromText("aäß");
        EvaluationResult result = evaluator.Evaluate(EvaluationData.FromText("aäßaß", characters));
        Assert.Equal((4, 7L), (result.Tokens, result.Bytes));
        Assert.Equal(result.Nll * 4 / 7 / Math.Log(2), result.BitsPerByte!.Value, 12);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(30)]
    [InlineData(1000)]
    public void A_limit_takes_the_first_predictions(int limit)
    {
        using TransformerModel<float> model = Model(1), reference = Model(2);
        int[][] sequences = [Ids(20, 1), Ids(4, 2), Ids(30, 3)];
        using Evaluator evaluator = new(model, reference, new EvaluationOptions { Limit = limit, Stride = 5, BatchSize = 2 }, 1);
        EvaluationResult actual = evaluator.Evaluate(EvaluationData.FromSequences(sequences));
        List<int[]> first = [];
        for (int s = 0, left = limit; s < sequences.Length && left > 0; left -= sequences[s++].Length - 1)
        {
            first.Add(sequences[s][..Math.Min(sequences[s].Length, left + 1)]);
        }

        EvaluationResult expected = Naive(model, reference, first, 12, 5);
        Assert.Equal((Math.Min(limit, 51), expected.Tokens), (actual.Tokens, actual.Tokens));
        Assert.Equal(expected.Nll, actual.Nll, 1e-5);
    }

    [Fact]
    public void Threads_change_no_bit()
    {
        using TransformerModel<float> model = Model(1), reference = Model(2);
        EvaluationResult[] results = [.. new[] { 1, 2, 5 }.Select(threads =>
        {
            using Evaluator evaluator = new(model, reference, new EvaluationOptions { Stride = 9 }, threads);
            return evaluator.Evaluate(EvaluationData.FromSequences([Ids(900, 1), Ids(300, 2)]));
        })];
        Assert.Equal(results[0], results[1]);
        Assert.Equal(results[0], results[2]);
    }

    [Fact]
    public void Windows_count_every_prediction_once()
    {
        foreach ((int length, int context, int stride) in new[] { (2, 4, 4), (5, 4, 4), (6, 4, 2), (30, 7, 3), (31, 8, 8), (9, 8, 1) })
        {
            EvaluationData data = EvaluationData.FromSequences([new int[length], new int[length + 3]]);
            List<(int Sequence, int Token)> counted = [];
            foreach (EvaluationWindow window in data.Windows(context, stride, long.MaxValue))
            {
                Assert.InRange(window.Length, 1, context);
                Assert.InRange(window.Skip, 0, window.Length - 1);
                Assert.True(window.Start == 0 || window.Skip == context - stride);
                for (int i = window.Skip; i < window.Length; i++) counted.Add((window.Sequence, (int)window.Start + i + 1));
            }

            Assert.Equal([.. Enumerable.Range(1, length - 1).Select(t => (0, t)), .. Enumerable.Range(1, length + 2).Select(t => (1, t))], counted);
        }
    }

    [Fact]
    public void A_large_vocabulary_needs_logits_of_one_chunk_a_thread()
    {
        TransformerConfig config = s_config with { Vocabulary = 30000, MaxSequenceLength = 64 };
        using TransformerModel<float> model = Model(1, config);
        using Evaluator evaluator = new(model, model, new EvaluationOptions { BatchSize = 32 }, 2);
        evaluator.Evaluate(EvaluationData.FromSequences([Ids(2049, 1, 30000)]));
        long all = 2048L * 30000 * sizeof(float);
        Assert.InRange(evaluator.AllocatedBytes, 4L * 64 * 30000 * sizeof(float), all / 4);
    }

    [Fact]
    public void Progress_and_cancellation()
    {
        using TransformerModel<float> model = Model(1);
        using Evaluator evaluator = new(model, null, new EvaluationOptions { BatchSize = 1 }, 1);
        EvaluationData data = EvaluationData.FromSequences([Ids(100, 1)]);
        using CancellationTokenSource cancel = new();
        Recorder progress = new(count =>
        {
            if (count == 3) cancel.Cancel();
        });
        Assert.Throws<OperationCanceledException>(() => evaluator.Evaluate(data, progress, cancel.Token));
        Assert.Equal([12L, 24, 36], progress.Seen.Select(p => p.SoFar.Tokens));
        Assert.All(progress.Seen, p => Assert.Equal(99, p.Total));
        using Evaluator limited = new(model, null, new EvaluationOptions { BatchSize = 1, Limit = 36 }, 1);
        Recorder all = new(_ => { });
        Assert.Equal(limited.Evaluate(data, all), progress.Seen[^1].SoFar);
        Assert.All(all.Seen, p => Assert.Equal(36, p.Total));
    }

    [Fact]
    public void Bad_input_is_named()
    {
        using TransformerModel<float> model = Model(1), other = Model(1, s_config with { Vocabulary = 44 });
        string message = Assert.Throws<ShapeMismatchException>(() => new Evaluator(model, other)).Message;
        Assert.Contains("45", message, StringComparison.Ordinal);
        Assert.Contains("44", message, StringComparison.Ordinal);
        Assert.Throws<InvalidSettingException>(() => new Evaluator(model, null, new EvaluationOptions { Context = 13 }));
        Assert.Throws<InvalidSettingException>(() => new Evaluator(model, null, new EvaluationOptions { Context = 8, Stride = 9 }));
        Assert.Throws<InvalidSettingException>(() => new Evaluator(model, null, new EvaluationOptions { BatchSize = -1 }));
        Assert.Throws<InvalidSettingException>(() => new Evaluator(model, null, new EvaluationOptions { BatchSize = int.MaxValue }));
        Assert.Throws<InvalidSettingException>(() => new Evaluator(Model(1, s_config with { Causal = false })));
        Assert.Throws<TokenException>(() => EvaluationData.FromSequences([]));
        Assert.Throws<TokenException>(() => EvaluationData.FromSequences([[1, 2], [3]]));
        Assert.Throws<TokenException>(() => EvaluationData.FromText("x", new ByteTokenizer()));
        using Evaluator evaluator = new(model);
        Assert.Contains("Token id 45 (sequence 2, place 3)",
            Assert.Throws<TokenException>(() => evaluator.Evaluate(EvaluationData.FromSequences([[1, 2], [3, 4, 45]]))).Message, StringComparison.Ordinal);
        model.Parameters.Of(model.Parameters.Find("embedding.tokens"))[5] = float.NaN;
        Assert.Equal("model", Assert.Throws<NonFiniteException>(() => evaluator.Evaluate(EvaluationData.FromSequences([[1, 2]]))).Where);
        using TransformerModel<float> sound = Model(1);
        using Evaluator compared = new(sound, model);
        Assert.Equal("reference", Assert.Throws<NonFiniteException>(() => compared.Evaluate(EvaluationData.FromSequences([[1, 2]]))).Where);
        sound.Parameters.Of(sound.Parameters.Find("blocks.0.attention.value.coefficients"))[5] = float.NaN;
        Assert.Equal("model, blocks.0", Assert.Throws<NonFiniteException>(() => compared.Evaluate(EvaluationData.FromSequences([[1, 2]]))).Where);
    }

    private sealed class Recorder(Action<int> each) : IProgress<EvaluationProgress>
    {
        public List<EvaluationProgress> Seen { get; } = [];

        public void Report(EvaluationProgress value)
        {
            Seen.Add(value);
            each(Seen.Count);
        }
    }
}
