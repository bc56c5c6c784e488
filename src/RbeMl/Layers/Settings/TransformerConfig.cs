using RbeMl.Kernels;

namespace RbeMl.Layers;

/// <summary>How a LayerNorm's gamma or beta is stored.</summary>
public enum LayerNormStorage
{
    /// <summary>One value a feature.</summary>
    Dense,

    /// <summary>A cosine series of an eighth of the features.</summary>
    Compressed,

    /// <summary>One value for all features.</summary>
    Scalar,
}

/// <summary>What gradients keep in memory between forward and backward. Outputs and gradients are the same, bit for bit, with each.</summary>
public enum CheckpointPolicy
{
    /// <summary>Everything is saved.</summary>
    None,

    /// <summary>Softmax and GELU are computed again.</summary>
    Selective,

    /// <summary>Only the inputs of the two halves are saved; one extra forward.</summary>
    Full,
}

/// <summary>Where the LayerNorms of a block stand.</summary>
public enum BlockOrder
{
    /// <summary>Before each half, beside the residual connection, as in GPT-2: m = x + Attention(LN1(x)), y = m + FeedForward(LN2(m)).</summary>
    PreNorm,

    /// <summary>
    /// After each residual connection, as in BERT. A LayerNorm is counted to what follows it, so that a block begins with the one of the block before, or of
    /// the embedding, and the model's final one is the last block's: n = LN1(x), m = n + Attention(n), k = LN2(m), y = k + FeedForward(k).
    /// </summary>
    PostNorm,
}

/// <summary>Shape, constants and architecture of a model and its blocks; GPT-2's unless something else is said.</summary>
public sealed record TransformerConfig
{
    /// <summary>Model width D.</summary>
    public int Width { get; init; } = 768;

    /// <summary>Width F of the feed-forward layer; 4 D when 0.</summary>
    public int FeedForwardWidth { get; init; }

    /// <summary>Attention heads H; D is a multiple of H.</summary>
    public int Heads { get; init; } = 12;

    /// <summary>Blocks L.</summary>
    public int Layers { get; init; } = 12;

    /// <summary>Vocabulary V.</summary>
    public int Vocabulary { get; init; } = 50257;

    /// <summary>Longest sequence (learned positions), a KV cache's tokens included.</summary>
    public int MaxSequenceLength { get; init; } = 1024;

    /// <summary>Dropout probability of residuals, and of attention and embeddings that have none of their own, while training: 0 up to but not 1.</summary>
    public float Dropout { get; init; }

    /// <summary>Dropout probability of attention where it is another; null for <see cref="Dropout"/>.</summary>
    public float? AttentionDropout { get; init; }

    /// <summary>Dropout probability of embeddings where it is another; null for <see cref="Dropout"/>.</summary>
    public float? EmbeddingDropout { get; init; }

    /// <summary>Whether scores of attention are divided by sqrt(D / H).</summary>
    public bool ScaleAttention { get; init; } = true;

    /// <summary>Whether scores of attention are divided by the number of their block, counted from 1, too.</summary>
    public bool ScaleAttentionByLayer { get; init; }

    /// <summary>
    /// Index in its model of the first block that this describes, for <see cref="ScaleAttentionByLayer"/>; 0 for a whole model. See
    /// <see cref="OfBlock"/>.
    /// </summary>
    public int FirstLayer { get; init; }

    /// <summary>Epsilon of LayerNorm.</summary>
    public double LayerNormEpsilon { get; init; } = 1e-5;

    /// <summary>Activation of the feed-forward layer.</summary>
    public GeluKind Gelu { get; init; } = GeluKind.Tanh;

    /// <summary>Where the LayerNorms of a block stand.</summary>
    public BlockOrder Order { get; init; } = BlockOrder.PreNorm;

    /// <summary>Whether a token sees only itself and tokens before it. A model that is not causal has no KV cache and generates nothing.</summary>
    public bool Causal { get; init; } = true;

    /// <summary>Whether the head uses the token embedding's weights.</summary>
    public bool TiedHead { get; init; } = true;

    /// <summary>Storage of gamma and beta.</summary>
    public LayerNormStorage LayerNorm { get; init; } = LayerNormStorage.Dense;

    /// <summary>F: <see cref="FeedForwardWidth"/>, or 4 D when that is 0.</summary>
    public int HiddenWidth => FeedForwardWidth == 0 ? 4 * Width : FeedForwardWidth;

    /// <summary>D / H.</summary>
    public int HeadWidth => Width / Heads;

    internal bool HasUsualAttentionScale => ScaleAttention && !ScaleAttentionByLayer;

    /// <summary>What kind of model this is, for messages.</summary>
    internal string Describe() => (Order, Causal) switch
    {
        (BlockOrder.PreNorm, true) => "a language model, a GPT-2",
        (BlockOrder.PostNorm, false) => "an encoder, a BERT",
        (_, true) => "a language model with BERT's order of LayerNorms",
        _ => "an encoder with GPT-2's order of LayerNorms",
    };

    /// <summary>Refuses an encoder where tokens are predicted one after the other.</summary>
    /// <param name="what">Who needs a language model, with its verb.</param>
    /// <exception cref="InvalidSettingException">This is no language model.</exception>
    internal void RequireLanguageModel(string what)
    {
        if (Causal) return;
        throw new InvalidSettingException(nameof(Causal), false,
            $"{what} a language model; this is {Describe()}, whose tokens see those that follow them: it makes vectors of texts and predicts none. "
                + "Give a language model, or use SentenceEncoder.");
    }

    /// <summary>The configuration of one block on its own, which computes as it does in the model.</summary>
    /// <param name="layer">0 .. layers - 1.</param>
    public TransformerConfig OfBlock(int layer) => ScaleAttentionByLayer ? this with { FirstLayer = FirstLayer + layer } : this;

    /// <summary>The same with another dropout, everywhere.</summary>
    /// <param name="probability">0 up to but not 1.</param>
    public TransformerConfig WithDropout(float probability) => this with { Dropout = probability, AttentionDropout = null, EmbeddingDropout = null };

    /// <summary>Checks every value.</summary>
    /// <returns>This configuration.</returns>
    /// <exception cref="InvalidSettingException">A value is out of range.</exception>
    public TransformerConfig Validate()
    {
        Positive(nameof(Width), Width);
        if (FeedForwardWidth < 0) throw new InvalidSettingException(nameof(FeedForwardWidth), FeedForwardWidth, "use 0 for 4 x Width, or a positive number.");
        Positive(nameof(Heads), Heads);
        Positive(nameof(Layers), Layers);
        Positive(nameof(Vocabulary), Vocabulary);
        Positive(nameof(MaxSequenceLength), MaxSequenceLength);
        if (Width % Heads != 0) throw new InvalidSettingException(nameof(Heads), Heads, $"Width {Width} must be a multiple of it.");
        Probability(nameof(Dropout), Dropout);
        Probability(nameof(AttentionDropout), AttentionDropout ?? 0);
        Probability(nameof(EmbeddingDropout), EmbeddingDropout ?? 0);
        if (FirstLayer < 0) throw new InvalidSettingException(nameof(FirstLayer), FirstLayer, "use 0, or the index of a block.");
        if (!(LayerNormEpsilon >= 1e-30 && LayerNormEpsilon < 1))
        {
            throw new InvalidSettingException(nameof(LayerNormEpsilon), LayerNormEpsilon,
                "use a small positive number such as 1e-5, from 1e-30 up to, but not, 1.");
        }

        if (!Enum.IsDefined(Gelu)) throw new InvalidSettingException(nameof(Gelu), Gelu, $"use one of {string.Join(", ", Enum.GetNames<GeluKind>())}.");
        if (!Enum.IsDefined(Order)) throw new InvalidSettingException(nameof(Order), Order, $"use one of {string.Join(", ", Enum.GetNames<BlockOrder>())}.");
        if (!Enum.IsDefined(LayerNorm))
        {
            throw new InvalidSettingException(nameof(LayerNorm), LayerNorm, $"use one of {string.Join(", ", Enum.GetNames<LayerNormStorage>())}.");
        }

        Product(nameof(Width), Width, "4", FeedForwardWidth == 0 ? 4 : 1);
        Product(nameof(Width), Width, nameof(Width), Width);
        Product(nameof(Width), Width, "hidden width", HiddenWidth);
        Product(nameof(Width), Width, nameof(Vocabulary), Vocabulary);
        Product(nameof(Width), Width, nameof(MaxSequenceLength), MaxSequenceLength);
        return this;
    }

    private static void Product(string a, int x, string b, int y)
    {
        if ((long)x * y > Array.MaxLength)
        {
            throw new InvalidSettingException($"{a} x {b}", (long)x * y, $"an array holds at most {Array.MaxLength} values: use a smaller {a} or {b}.");
        }
    }

    private static void Probability(string name, float value)
    {
        if (!(value >= 0 && value < 1)) throw new InvalidSettingException(name, value, "use a probability from 0 up to, but not, 1.");
    }

    private static void Positive(string name, int value)
    {
        if (value < 1) throw new InvalidSettingException(name, value, "use a positive number.");
    }
}
