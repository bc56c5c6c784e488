using Microsoft.Extensions.AI;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using RbeMl.Extensions.AI;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Adds models of this process to an application's services.</summary>
public static class RbeServiceCollectionExtensions
{
    private const string NoPath = "Path is not set: give the file or folder of a model.";

    /// <summary>Adds an <see cref="IChatClient"/>, loaded when it is first asked for.</summary>
    /// <param name="services">The services.</param>
    /// <param name="configure">Sets at least the path.</param>
    public static IServiceCollection AddRbeChat(this IServiceCollection services, Action<RbeChatOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(configure);
        return AddChat(services, options => options.Configure(configure));
    }

    /// <inheritdoc cref="AddRbeChat(IServiceCollection, Action{RbeChatOptions})"/>
    /// <param name="services">The services.</param>
    /// <param name="configuration">A section with the properties of <see cref="RbeChatOptions"/>, at least the path.</param>
    public static IServiceCollection AddRbeChat(this IServiceCollection services, IConfiguration configuration)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        return AddChat(services, options => options.Bind(configuration));
    }

    /// <summary>Adds an <see cref="IEmbeddingGenerator{TInput, TEmbedding}"/> of texts, loaded when it is first asked for.</summary>
    /// <param name="services">The services.</param>
    /// <param name="configure">Sets at least the path.</param>
    public static IServiceCollection AddRbeEmbeddings(this IServiceCollection services, Action<RbeEmbeddingOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(configure);
        return AddEmbeddings(services, options => options.Configure(configure));
    }

    /// <inheritdoc cref="AddRbeEmbeddings(IServiceCollection, Action{RbeEmbeddingOptions})"/>
    /// <param name="services">The services.</param>
    /// <param name="configuration">A section with the properties of <see cref="RbeEmbeddingOptions"/>, at least the path.</param>
    public static IServiceCollection AddRbeEmbeddings(this IServiceCollection services, IConfiguration configuration)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        return AddEmbeddings(services, options => options.Bind(configuration));
    }

    private static IServiceCollection AddChat(IServiceCollection services, Action<OptionsBuilder<RbeChatOptions>> set)
    {
        ArgumentNullException.ThrowIfNull(services);
        OptionsBuilder<RbeChatOptions> options = services.AddOptions<RbeChatOptions>();
        set(options);
        options.Validate(chat => !string.IsNullOrEmpty(chat.Path), NoPath).ValidateOnStart();
        return services.AddSingleton<IChatClient>(provider =>
        {
            RbeChatOptions chat = provider.GetRequiredService<IOptions<RbeChatOptions>>().Value;
            return RbeChatClient.Load(chat.Path!, chat, provider.GetService<ILogger<RbeChatClient>>());
        });
    }

    private static IServiceCollection AddEmbeddings(IServiceCollection services, Action<OptionsBuilder<RbeEmbeddingOptions>> set)
    {
        ArgumentNullException.ThrowIfNull(services);
        OptionsBuilder<RbeEmbeddingOptions> options = services.AddOptions<RbeEmbeddingOptions>();
        set(options);
        options.Validate(embedding => !string.IsNullOrEmpty(embedding.Path), NoPath).ValidateOnStart();
        return services.AddSingleton<IEmbeddingGenerator<string, Embedding<float>>>(provider =>
        {
            RbeEmbeddingOptions embedding = provider.GetRequiredService<IOptions<RbeEmbeddingOptions>>().Value;
            return RbeEmbeddingGenerator.Load(embedding.Path!, embedding, provider.GetService<ILogger<RbeEmbeddingGenerator>>());
        });
    }
}
