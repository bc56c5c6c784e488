using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.Extensions.AI.Tests.Support;

/// <summary>Causal models over bytes that are made in milliseconds and write nonsense, the same for the same prompt, options and seed.</summary>
internal static class SmallChat
{
    public const int Positions = 64;

    /// <summary>A model and its tokenizer; the caller disposes it.</summary>
    public static ModelBundle Create(ITokenizer? tokenizer = null, bool causal = true)
    {
        tokenizer ??= new ByteTokenizer();
        TransformerConfig config = new()
        {
            Width = 32,
            Heads = 2,
            Layers = 1,
            Vocabulary = tokenizer.Vocabulary,
            MaxSequenceLength = Positions,
            Causal = causal,
        };
        RbeOptions options = new() { Tile = 32, Format = RbeFormat.Sparse(128) };
        return new ModelBundle(TransformerModel<float>.Create(config, options, seed: 7), tokenizer);
    }

    /// <summary>What the core's generator writes after a prompt.</summary>
    public static string Expected(ModelBundle bundle, string prompt, GenerationOptions options)
    {
        using Generator generator = new(bundle.Model);
        return string.Concat(new TextGenerator(generator, bundle.Tokenizer!).Generate(prompt, options));
    }
}
