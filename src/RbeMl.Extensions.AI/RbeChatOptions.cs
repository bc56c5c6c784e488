namespace RbeMl.Extensions.AI;

/// <summary>Settings of a <see cref="RbeChatClient"/>, for code or for configuration.</summary>
public sealed class RbeChatOptions
{
    /// <summary>The model's file or folder; needed by <c>AddRbeChat</c> only.</summary>
    public string? Path { get; set; }

    /// <summary>What the model is called in answers, metadata and measurements; null for the name of its file.</summary>
    public string? ModelId { get; set; }

    /// <summary>Most tokens of an answer where a call does not say.</summary>
    public int MaxOutputTokens { get; set; } = 256;

    /// <summary>Threads that all calls share; 0 for one a processor.</summary>
    public int Threads { get; set; }

    /// <summary>
    /// Answers that are written at the same time, each with a cache of keys and values of its own; further calls wait. 0 for one a
    /// processor.
    /// </summary>
    public int Concurrency { get; set; }
}
