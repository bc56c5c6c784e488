using System.Collections.Concurrent;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.MLNet.LanguageModels;

/// <summary>
/// Continues texts for many callers at a time. Generators are kept, as many as there are processors: each has a cache of the model's
/// positions.
/// </summary>
internal sealed class GeneratorPool(TransformerModel<float> model, WorkspacePool threads)
{
    private readonly ConcurrentBag<Generator> _kept = [];

    /// <summary>A text's continuation. It depends on the options and the text only: the random numbers are those of the seed and the text's ids.</summary>
    /// <param name="prompt">The text's ids, at least one.</param>
    /// <param name="options">How to draw.</param>
    /// <param name="tokenizer">Gives the text.</param>
    /// <exception cref="NonFiniteException">A logit is NaN or infinite.</exception>
    public string Continue(int[] prompt, GenerationOptions options, ITokenizer tokenizer)
    {
        GenerationOptions own = options with { Seed = XxHash3.HashToUInt64(MemoryMarshal.AsBytes<int>(prompt), (long)options.Seed) };
        Generator generator = _kept.TryTake(out Generator? kept) ? kept : new Generator(model, threads.Workers);
        try
        {
            return string.Concat(new TextGenerator(generator, tokenizer).Generate(prompt, own));
        }
        finally
        {
            if (_kept.Count < Environment.ProcessorCount) _kept.Add(generator);
            else generator.Dispose();
        }
    }
}
