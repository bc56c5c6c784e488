using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.Tests.Models;

/// <summary>
/// A model whose logits are the same after every text: its last LayerNorm gives ones whatever it reads, and a row of its embedding sums to
/// the logit.
/// </summary>
internal static class ScriptedModel
{
    private const int Width = 32;

    /// <summary>A model of 16 positions.</summary>
    /// <param name="vocabulary">Its ids.</param>
    /// <param name="logits">Logits of some ids; those of the others are 0.</param>
    public static TransformerModel<float> Create(int vocabulary, params (int Id, float Logit)[] logits)
    {
        TransformerConfig config = new() { Layers = 1, Heads = 2, Width = Width, Vocabulary = vocabulary, MaxSequenceLength = 16 };
        float[] embedding = new float[vocabulary * Width];
        foreach ((int id, float logit) in logits) embedding.AsSpan(id * Width, Width).Fill(logit / Width);
        return new TransformerModel<float>(TransformerWeights.CreateRandom(config, new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(256) }, seed: 5) with
        {
            TokenEmbedding = embedding,
            FinalGamma = new float[Width],
            FinalBeta = [.. Enumerable.Repeat(1f, Width)],
        });
    }

    /// <summary>GPT-2's kind of tokenizer with the 256 bytes as ids, and special tokens from 256 on.</summary>
    public static Gpt2Tokenizer Bytes(params string[] special) =>
        new([.. Enumerable.Range(0, 256)], [], special.Select((name, i) => (name, i)).ToDictionary(s => s.name, s => 256 + s.i));

    /// <summary>A file of a model with a tokenizer.</summary>
    public static string Save(string path, TransformerModel<float> model, ITokenizer? tokenizer)
    {
        ModelFile.Save(path, model, tokenizer);
        return path;
    }
}
