namespace RbeMl.Extensions.AI;

/// <summary>Settings of an <see cref="RbeEmbeddingGenerator"/>, for code or for configuration.</summary>
public sealed class RbeEmbeddingOptions
{
    /// <summary>The encoder's file or folder; needed by <c>AddRbeEmbeddings</c> only.</summary>
    public string? Path { get; set; }

    /// <summary>What the model is called in answers, metadata and measurements; null for the name of its file.</summary>
    public string? ModelId { get; set; }

    /// <summary>Name of the prompt that goes before each text where a call does not say; null for the model's default, an empty text for none.</summary>
    public string? Prompt { get; set; }

    /// <summary>Threads of a call; 0 for one a processor. An encoder that was made elsewhere has its own.</summary>
    public int Threads { get; set; }
}
