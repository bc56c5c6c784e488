using System.CommandLine;
using System.Globalization;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Benchmarks;

/// <summary>
/// The verb that counts where the likeliest next token is another with int8 than with floats: on texts that the float model draws, all
/// positions of a window at once (int8 activations), and token by token along its own likeliest tokens (int8 activations in the prompt,
/// int8 keys and values in the cache). Needs nothing of torch.
/// </summary>
internal static class Int8Command
{
    private static readonly (string Name, RbeFormat Format)[] s_formats =
    [
        ("quantized 4", RbeFormat.Quantized(4)), ("quantized 6", RbeFormat.Quantized(6)), ("quantized 8", RbeFormat.Quantized(8)),
            ("trellis 4", RbeFormat.Trellis(4)),
    ];

    public static Command Create()
    {
        Argument<string[]> models = new("model") { Description = "A .rbe file or the folder of a Hugging Face GPT-2.", Arity = ArgumentArity.OneOrMore };
        Option<int> tokens = new("--tokens") { Description = "Predictions to compare.", DefaultValueFactory = _ => 10_000 };
        Command command = new("int8", "Counts greedy tokens that differ between int8 and floats.") { models, tokens };
        command.SetAction(parsed =>
        {
            Console.WriteLine("model | format | way | predictions | differ");
            try
            {
                foreach (string path in parsed.GetValue(models)!) Run(path, parsed.GetValue(tokens));
                return 0;
            }
            catch (Exception error) when (error is RbeException or IOException)
            {
                Console.Error.WriteLine(error.Message);
                return 1;
            }
        });
        return command;
    }

    private static void Run(string path, int tokens)
    {
        using ModelBundle bundle = ModelSource.Load(path);
        TransformerWeights weights = bundle.Model.GetWeights();
        foreach ((string name, RbeFormat format) in s_formats)
        {
            using TransformerModel<float> model =
                new(weights.Recompress(new RbeOptions { Tile = bundle.Model.Config.Width < 64 ? 32 : 64, Format = format, Alphas = false }));
            using TransformerModel<float> floats = model.ToInference(), integers = model.ToInference(activations: ActivationPrecision.Int8);
            using Workspace<float> workspace = new();
            List<int[]> windows = Windows(floats, tokens);
            Write("windows, int8 activations", windows.Sum(w => w.Length), windows.Sum(w => Differences(floats, integers, w, workspace)));
            foreach ((string way, TransformerModel<float> other, KvFormat cache) in new[] { ("greedy, int8 activations", integers, KvFormat.F32),
                ("greedy, int8 cache", floats, KvFormat.Int8), ("greedy, both", integers, KvFormat.Int8) })
            {
                (int done, int differ) = (0, 0);
                foreach (int[] window in windows.TakeWhile(_ => done < tokens))
                {
                    (int count, int wrong) = Greedy(floats, other, cache, window.AsSpan(0, (window.Length + 1) / 2), workspace);
                    (done, differ) = (done + count, differ + wrong);
                }

                Write(way, done, differ);
            }

            void Write(string way, int count, int differ) =>
                Console.WriteLine(
                    string.Create(CultureInfo.InvariantCulture,
                    $"{Path.GetFileName(path.TrimEnd('/'))} | {name} | {way} | {count} | {differ} ({100.0 * differ / count:F2} %)"));
        }
    }

    // Texts of the model's own making, each as long as its positions; twice as many predictions as asked for, as a greedy walk takes half a window.
    private static List<int[]> Windows(TransformerModel<float> model, int tokens)
    {
        int length = model.Config.MaxSequenceLength;
        using Generator generator = new(model);
        return [.. Enumerable.Range(0, ((2 * tokens) + length - 1) / length).Select(i =>
            (int[])[i % model.Config.Vocabulary,
                .. generator.Generate([i % model.Config.Vocabulary], new GenerationOptions { MaxTokens = length - 1, Seed = (ulong)i + 1 })])];
    }

    private static int Differences(TransformerModel<float> model, TransformerModel<float> other, int[] window, Workspace<float> workspace)
    {
        int vocabulary = model.Config.Vocabulary;
        float[] expected = model.Logits(window, 1, window.Length, workspace), actual = other.Logits(window, 1, window.Length, workspace);
        return Enumerable.Range(0, window.Length)
            .Count(t => Likeliest(expected.AsSpan(t * vocabulary, vocabulary)) != Likeliest(actual.AsSpan(t * vocabulary, vocabulary)));
    }

    // Both read the float model's tokens, so that one difference is not counted again and again.
    private static (int Count, int Differ) Greedy(TransformerModel<float> model, TransformerModel<float> other, KvFormat format,
        ReadOnlySpan<int> prompt, Workspace<float> workspace)
    {
        TransformerConfig config = model.Config;
        using KvCache<float> expectedCache = new(config, 1, config.MaxSequenceLength), actualCache = new(config, 1, config.MaxSequenceLength, format);
        float[] expected = new float[config.Vocabulary], actual = new float[config.Vocabulary];
        int[] next = prompt.ToArray();
        (int count, int differ) = (0, 0);
        while (expectedCache.Length + next.Length <= config.MaxSequenceLength)
        {
            model.LastLogits(next, 1, next.Length, workspace, expectedCache, expected);
            other.LastLogits(next, 1, next.Length, workspace, actualCache, actual);
            count++;
            if (Likeliest(expected) != Likeliest(actual)) differ++;
            next = [Likeliest(expected)];
        }

        return (count, differ);
    }

    private static int Likeliest(ReadOnlySpan<float> logits)
    {
        int best = 0;
        for (int i = 1; i < logits.Length; i++)
        {
            if (logits[i] > logits[best]) best = i;
        }

        return best;
    }
}
